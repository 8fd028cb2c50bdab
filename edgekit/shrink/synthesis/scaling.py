"""At which other sizes a graph runs: several samples at once, and images of half the height and width.

Both make synthesis affordable: a batch shares the statistics it must match, and a step at half size costs a quarter.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgekit.shrink.synthesis.torch_executor import TorchExecutor
from edgekit.types.graph import Graph, Node

SMALLEST_SIDE = 96
"""Images below this side (pixels) are not halved: deep layers would see little but padding."""
_ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "PRelu", "Pow", "Max", "Min")
_LOCAL = frozenset(
    (
        *_ELEMENTWISE,
        *("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Requantize"),
        *(
            "Clip",
            "LeakyRelu",
            "Sigmoid",
            "Tanh",
            "Gelu",
            "HardSwish",
            "Exp",
            "Log",
            "Sqrt",
            "Abs",
            "Neg",
            "Reciprocal",
        ),
        *("DepthToSpace", "SpaceToDepth"),
    )
)
"""Operators that do the same thing at every place of a map, whatever its size."""


def with_batch(graph: Graph) -> Graph | None:
    """The graph with batch axes, or None when it cannot take several samples at once.

    A graph that declares none is tried: axis 0 is taken as the batch everywhere, and two samples together must give
    what they give apart.
    """
    if graph.batch_axes:
        return graph
    if any(not value.shape or value.shape[0] != 1 for value in graph.values.values()):
        return None
    tried = replace(graph, batch_axes=dict.fromkeys(graph.values, 0))
    executor, single = TorchExecutor(tried), TorchExecutor(graph)
    noise = torch.Generator().manual_seed(0)
    feeds = {name: torch.randn((2, *graph.values[name].shape[1:]), generator=noise) for name in graph.inputs}
    try:
        with torch.no_grad():
            together = executor(feeds)
            apart = [single({name: feed[index : index + 1] for name, feed in feeds.items()}) for index in range(2)]
    except (RuntimeError, IndexError):
        return None
    for name, result in together.items():
        expected = torch.cat([item[name] for item in apart])
        if result.shape != expected.shape or not _close(result, expected):
            return None
    return tried


def runs_at_half_size(graph: Graph) -> bool:
    """Whether all inputs are large images and every operator works at any height and width."""
    shapes = [graph.values[name].shape for name in graph.inputs]
    if any(len(shape) != 4 or min(shape[2:]) < SMALLEST_SIDE for shape in shapes):
        return False
    return all(_is_local(node, graph) for node in graph.nodes)


def _is_local(node: Node, graph: Graph) -> bool:
    """Whether the node takes maps of any size, or only sees what is one pixel already."""
    maps = [graph.shape(name) for name in node.inputs if name and name not in graph.constants]
    if all(len(shape) < 3 or all(side == 1 for side in shape[2:]) for shape in maps):
        return True
    if node.op in ("ReduceMean", "ReduceMax"):
        return tuple(node.attributes["axes"]) == (2, 3)
    if node.op in ("Slice", "Split"):
        return bool(max(node.attributes.get("axes", (node.attributes.get("axis", 0),))) < 2)
    constants = [graph.shape(name) for name in node.inputs[1:] if name in graph.constants]
    if node.op in _ELEMENTWISE and any(side != 1 for shape in constants for side in shape[-2:]):
        return False
    return node.op in _LOCAL


def _close(first: Tensor, second: Tensor) -> bool:
    if not first.is_floating_point():
        return torch.equal(first, second)
    return torch.allclose(first, second, rtol=1e-3, atol=1e-4 * float(second.abs().max() + 1e-6))
