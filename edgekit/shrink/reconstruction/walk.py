"""Float and quantized graph in step, node by node over all samples: a layer is decided when the walk reaches it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from edgekit.shrink.reconstruction.regression import Pair
from edgekit.shrink.reconstruction.simulation import SimulatedGraph, as_feeds
from edgekit.shrink.synthesis.torch_executor import TorchExecutor, last_uses
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.qparams import Array

CHUNK = 8
"""Samples computed together, where the graph allows it."""
HELD_BYTES = 700_000_000
"""Values of both graphs that are alive at a time may take this much; it bounds how many samples there are."""


class Walk:
    """Both graphs, as far as they have been computed.

    Attributes:
        nodes: What there is to compute, in order.
        trained: constant name -> tensor that the quantized graph uses from now on.
        count: Samples.
    """

    def __init__(self, quantized: QuantizedGraph, samples: Sequence[Mapping[str, Array]]) -> None:
        """Begin before the first node; without batch axes samples are computed one by one."""
        self._graph = quantized.graph
        self._executors = (TorchExecutor(self._graph), SimulatedGraph(quantized))
        self.nodes = self._executors[0].graph.nodes
        self.trained = self._executors[1].trained
        self.count = len(samples)
        chunk = CHUNK if self._graph.batch_axes else 1
        chunks = [samples[start : start + chunk] for start in range(0, len(samples), chunk)]
        self._sizes = [len(part) for part in chunks]
        self._gone = last_uses(self.nodes)
        self._held: list[list[dict[str, Tensor]]] = [
            [
                {name: executor.stored(name, value) for name, value in as_feeds(self._graph, part).items()}
                for part in chunks
            ]
            for executor in self._executors
        ]

    def pairs(self, name: str) -> list[Pair]:
        """(float, quantized) value of each sample."""
        axis = self._graph.batch_axes.get(name, 0)
        found: list[Pair] = []
        for exact, stored, size in zip(*self._held, self._sizes, strict=True):
            parts = (held[name].chunk(size, axis) if size > 1 else (held[name],) for held in (exact, stored))
            found.extend((first.numpy(), second.numpy()) for first, second in zip(*parts, strict=True))
        return found

    def step(self, index: int) -> None:
        """Compute the node at `index` in both graphs, then forget what nothing reads any more."""
        with torch.no_grad():
            for executor, chunks in zip(self._executors, self._held, strict=True):
                node, constants = executor.graph.nodes[index], executor.constants()
                for held, size in zip(chunks, self._sizes, strict=True):
                    known = {name: constants[name] if name in constants else held[name] for name in node.inputs if name}
                    for name, result in zip(node.outputs, executor.compute(node, known, size), strict=True):
                        held[name] = executor.finished(node, name, result)
                    for name in self._gone.get(index, ()):
                        held.pop(name, None)


def affordable(graph: Graph) -> int:
    """How many samples fit into `HELD_BYTES` at the widest place of the graph; 0 when not even one does."""
    sizes = {name: 4 * math.prod(value.shape) for name, value in graph.values.items()}
    alive = sum(sizes[name] for name in graph.inputs)
    peak, gone = alive, last_uses(graph.nodes)
    for index, node in enumerate(graph.nodes):
        alive += sum(sizes[name] for name in node.outputs)
        peak = max(peak, alive)
        alive -= sum(sizes.get(name, 0) for name in gone.get(index, ()))
    return HELD_BYTES // (2 * max(1, peak))
