"""A small quantized net with every kind of joint: fused clamps, residual, concat, pool, reshape, Linear."""

from __future__ import annotations

import numpy as np

from edgekit.types.graph import Graph, Node, Value

INF = float("inf")
CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
DEPTHWISE = {**CONV, "group": 16, "strides": (2, 2)}
POOL = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
SHAPES = {
    "x": (1, 3, 16, 16),
    "stem": (1, 16, 16, 16),
    "deep": (1, 16, 8, 8),
    "point": (1, 16, 8, 8),
    "pool": (1, 16, 8, 8),
    "both": (1, 32, 8, 8),
    "sum": (1, 32, 8, 8),
    "gate": (1, 32, 8, 8),
    "gated": (1, 32, 8, 8),
    "mean": (1, 32, 1, 1),
    "flat": (1, 32),
    "y": (1, 10),
}


def _weight(rng, *shape):
    return (rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)


def float_graph():
    rng = np.random.default_rng(0)
    nodes = (
        Node("stem", "Conv", ("x", "w1", "b1"), ("stem",), CONV, "net.stem", (0.0, INF)),
        Node(
            "deep", "Conv", ("stem", "w2"), ("deep",), {**CONV, "group": 16, "strides": (2, 2)}, "net.deep", (0.0, 6.0)
        ),
        Node("point", "Conv", ("deep", "w3"), ("point",), {**CONV, "pads": (0, 0, 0, 0)}, "net.point"),
        Node("pool", "MaxPool", ("stem",), ("pool",), POOL),
        Node("both", "Concat", ("point", "pool"), ("both",), {"axis": 1}),
        Node("sum", "Add", ("both", "k"), ("sum",), {}, "net.sum", (0.0, INF)),
        Node("gate", "Sigmoid", ("sum",), ("gate",)),
        Node("gated", "Mul", ("gate", "sum"), ("gated",)),
        Node("mean", "GlobalAveragePool", ("gated",), ("mean",)),
        Node("flat", "Reshape", ("mean",), ("flat",), {"shape": (1, 32)}),
        Node("head", "Gemm", ("flat", "w4", "b4"), ("y",), {}, "net.head"),
    )
    constants = {
        "w1": _weight(rng, 16, 3, 3, 3),
        "b1": _weight(rng, 16, 1)[:, 0],
        "w2": _weight(rng, 16, 1, 3, 3),
        "w3": _weight(rng, 16, 16, 1, 1),
        "k": _weight(rng, 32, 1, 1),
        "w4": _weight(rng, 10, 32),
        "b4": _weight(rng, 10, 1)[:, 0],
    }
    values = {name: Value(name, shape) for name, shape in SHAPES.items()}
    return Graph("joints", ("x",), ("y",), nodes, values, constants, dict.fromkeys(SHAPES, 0))


def feeds(count=12, *, batch=1):
    rng = np.random.default_rng(1)
    return [{"x": rng.normal(size=(batch, 3, 16, 16)).astype(np.float32)} for _ in range(count)]
