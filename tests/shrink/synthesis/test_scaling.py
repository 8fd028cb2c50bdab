"""Which graphs take several samples at once, and images of half the size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.shrink.synthesis.scaling import runs_at_half_size, with_batch
from edgekit.types.graph import Graph, Node, Value

WINDOW = {"strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


def convolutional(side: int, *tail: tuple[Node, tuple[int, ...]]) -> Graph:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    conv = Node("c", "Conv", ("x", "w", "b"), ("y",), WINDOW)
    shapes = {"x": (1, 3, side, side), "y": (1, 4, side // 2, side // 2)}
    shapes |= {node.outputs[0]: shape for node, shape in tail}
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    constants = {
        "w": weight,
        "b": np.zeros(4, np.float32),
        "map": np.ones((1, 4, side // 2, side // 2), np.float32),
        "fc": np.ones((2, 4), np.float32),
        "fcb": np.zeros(2, np.float32),
    }
    nodes = (conv, *(node for node, _ in tail))
    return Graph("g", ("x",), (nodes[-1].outputs[0],), nodes, values, constants)


POOL = (Node("p", "GlobalAveragePool", ("y",), ("p",)), (1, 4, 1, 1))
FLAT = (Node("f", "Reshape", ("p",), ("f",), {"shape": (1, 4)}), (1, 4))
HEAD = (Node("h", "Gemm", ("f", "fc", "fcb"), ("h",)), (1, 2))


def test_a_graph_that_keeps_samples_apart_gets_batch_axes() -> None:
    graph = convolutional(96, POOL, FLAT, HEAD)
    batched = with_batch(graph)
    assert batched is not None
    assert set(batched.batch_axes.values()) == {0}
    declared = replace(graph, batch_axes={"x": 0})
    assert with_batch(declared) is declared


def test_a_graph_that_mixes_samples_does_not() -> None:
    mixing = (Node("m", "ReduceMax", ("y",), ("m",), {"axes": (0,), "keepdims": 1}), (1, 4, 48, 48))
    assert with_batch(convolutional(96, mixing)) is None
    turned = (Node("t", "Transpose", ("y",), ("t",), {"perm": (1, 0, 2, 3)}), (4, 1, 48, 48))
    assert with_batch(convolutional(96, turned)) is None


def test_half_size_needs_operators_that_do_not_care() -> None:
    assert runs_at_half_size(convolutional(96, POOL, FLAT, HEAD))
    assert not runs_at_half_size(convolutional(64, POOL, FLAT, HEAD))  # too small to halve
    position = (Node("a", "Add", ("y", "map"), ("a",)), (1, 4, 48, 48))
    assert not runs_at_half_size(convolutional(96, position))
    flatten = (Node("f", "Reshape", ("y",), ("f",), {"shape": (1, 4 * 48 * 48)}), (1, 4 * 48 * 48))
    assert not runs_at_half_size(convolutional(96, flatten))
    cut = (
        Node("s", "Slice", ("y",), ("s",), {"axes": (2,), "starts": (0,), "ends": (9,), "steps": (1,)}),
        (1, 4, 9, 48),
    )
    assert not runs_at_half_size(convolutional(96, cut))
    channels = (Node("s", "Split", ("y",), ("s",), {"axis": 1, "split": (4,)}), (1, 4, 48, 48))
    assert runs_at_half_size(convolutional(96, channels))
