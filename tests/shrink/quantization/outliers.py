"""A net whose int8 collapses at one place: a few outlier channels set the range of a value that others live in."""

from __future__ import annotations

import numpy as np

from edgekit.types.graph import Node
from edgekit.types.sample_set import SampleSet
from tests.shrink.quantization.graphs import CONV, INF, make, weights

OUTLIER = 1000.0


def outlier_net(*, factor=OUTLIER, depth=2):
    """x -> stem -> expand -> project -> blocks -> pool -> head.

    Channel 0 of "expand" is `factor` times as large as the others, and "project" takes it back by as much.
    """
    width = 12
    constants = {"w.stem": weights(0, width, 3, 3, 3), "b.stem": weights(1, width, 1)[:, 0]}
    constants |= {"w.expand": weights(2, width, width, 3, 3), "w.project": weights(3, width, width, 3, 3)}
    constants["w.expand"][0] *= factor
    constants["w.project"][:, 0] /= factor
    nodes = [
        Node("stem", "Conv", ("x", "w.stem", "b.stem"), ("s",), CONV, "stem", (0.0, INF)),
        Node("expand", "Conv", ("s", "w.expand"), ("e",), CONV, "block.expand", (0.0, INF)),
        Node("project", "Conv", ("e", "w.project"), ("h0",), CONV, "block.project", (0.0, INF)),
    ]
    for index in range(depth):
        constants[f"w.{index}"] = weights(10 + index, width, width, 3, 3)
        inputs = (f"h{index}", f"w.{index}")
        nodes.append(Node(f"conv{index}", "Conv", inputs, (f"h{index + 1}",), CONV, f"tail.{index}", (0.0, INF)))
    constants |= {"w.head": weights(9, 5, width)}
    nodes += [
        Node("pool", "GlobalAveragePool", (f"h{depth}",), ("p",), {}, "pool"),
        Node("flat", "Reshape", ("p",), ("f",), {"shape": (1, width)}, "flatten"),
        Node("head", "Gemm", ("f", "w.head"), ("y",), {}, "head"),
    ]
    maps = ["s", "e", *(f"h{index}" for index in range(depth + 1))]
    shapes = {"x": (1, 3, 8, 8), **dict.fromkeys(maps, (1, width, 8, 8)), "p": (1, width, 1, 1)}
    return make(nodes, {**shapes, "f": (1, width), "y": (1, 5)}, constants, outputs=("y",))


def noise_samples(start, count):
    """Normal noise, another for each position."""

    def read(position):
        return {"x": np.random.default_rng(position).normal(size=(1, 3, 8, 8)).astype(np.float32)}

    return SampleSet(np.arange(start, start + count), read, "noise")
