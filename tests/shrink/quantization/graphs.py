"""Small float graphs for the quantization tests, built by hand."""

from __future__ import annotations

import numpy as np

from edgekit.shrink.quantization.histogram import Histogram
from edgekit.types.graph import Graph, Node, Value

INF = float("inf")
CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}


def make(nodes, shapes, constants, *, outputs, inputs=("x",)):
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    batch_axes = dict.fromkeys(shapes, 0)
    return Graph("small", inputs, outputs, tuple(nodes), values, constants, batch_axes)


def weights(seed, *shape):
    values = np.random.default_rng(seed).normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
    return values.astype(np.float32)


def two_branches(*, clamp_left=(0.0, INF), clamp_right=None, joined="Concat"):
    """x -> Conv, Conv -> Concat or Add -> y."""
    nodes = [
        Node("left", "Conv", ("x", "w1", "b1"), ("l",), CONV, "net.left", clamp_left),
        Node("right", "Conv", ("x", "w2", "b2"), ("r",), CONV, "net.right", clamp_right),
        Node("join", joined, ("l", "r"), ("y",), {"axis": 1} if joined == "Concat" else {}, "net.join"),
    ]
    width = 8 if joined == "Concat" else 4
    shapes = {"x": (1, 3, 6, 6), "l": (1, 4, 6, 6), "r": (1, 4, 6, 6), "y": (1, width, 6, 6)}
    constants = {
        "w1": weights(1, 4, 3, 3, 3),
        "b1": weights(2, 4, 1)[:, 0],
        "w2": weights(3, 4, 3, 3, 3) * 3,
        "b2": weights(4, 4, 1)[:, 0],
    }
    return make(nodes, shapes, constants, outputs=("y",))


def histograms(graph, ranges, *, default=(-1.0, 1.0)):
    """Histograms as if each value had been seen once at the ends of its range."""
    found = {}
    for name in graph.values:
        low, high = ranges.get(name, default)
        histogram = Histogram(channel_axis=1)
        shape = graph.shape(name)
        values = np.full(shape, low, np.float32)
        values.flat[-1] = high
        histogram.update(values)
        found[name] = histogram
    return found
