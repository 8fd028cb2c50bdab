"""Float choice: in which order layers return to float, so that little speed and size buy much accuracy.

A node in float takes the error of its weights away; the rounding of a value goes only when every node that touches the
value is in float. So the greedy choice is among single nodes and among the nodes around one value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.types.float_bytes import count_float_bytes
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.operators import Role, role
from edgekit.types.output_noise import OutputNoise, touching

CONVERSIONS = 0.1
"""Work of the conversions around a lone float node, as a share of an average node's."""
NEGLIGIBLE = 1e-12
"""Share of all noise below which nothing is left to win."""


@dataclass(frozen=True)
class FloatStep:
    """One step of the order.

    Attributes:
        nodes: Names of the nodes that return to float in it.
        gain: Noise over signal that it takes away at the outputs.
        left: Noise over signal that is left after it and all steps before.
    """

    nodes: tuple[str, ...]
    gain: float
    left: float


def order_floats(
    quantized: QuantizedGraph, noise: OutputNoise, *, most_bytes: float = math.inf
) -> tuple[FloatStep, ...]:
    """Greedy order by noise taken away per work and bytes added.

    Args:
        quantized: The graph as it is now.
        noise: What `scan_output_noise` found for it.
        most_bytes: How much the constants may grow; what does not fit is passed over.

    Returns:
        Steps until next to nothing is left to win.
    """
    return _Order(quantized, noise, most_bytes).steps()


class _Order:
    """The state of the greedy choice."""

    def __init__(self, quantized: QuantizedGraph, noise: OutputNoise, most_bytes: float) -> None:
        graph = quantized.graph
        self._bytes = {node.name: count_float_bytes(quantized, node) for node in graph.nodes}
        self._room = most_bytes
        self._noise = noise
        int8 = [node for node in graph.nodes if quantized.is_int8(node) or quantized.multiplies_integers(node)]
        self._int8 = {node.name for node in int8 if node.op != "Requantize"}
        self._price = share_price(graph, self._bytes)
        self._around = {name: self._floatable(graph, name) for name in noise.values}
        self._values: dict[str, list[str]] = {}
        for name, nodes in self._around.items():
            for node in nodes:
                self._values.setdefault(node, []).append(name)
        self._partners = self._find_partners(graph)
        self._chosen: set[str] = set()
        self._order = {node.name: index for index, node in enumerate(graph.nodes)}

    def steps(self) -> tuple[FloatStep, ...]:
        """All of them."""
        units = {self._with_partners(frozenset((name,))) for name in self._int8}
        units |= {self._with_partners(nodes) for nodes in self._around.values() if nodes}
        gains = {unit: self._gain(unit) for unit in units}
        found, left, least = [], self._noise.total, NEGLIGIBLE * self._noise.total
        while gains:
            best = max(gains, key=lambda unit: (gains[unit] / self._cost(unit), -self._first(unit)))
            gain = gains.pop(best)
            added = best - self._chosen
            grown = sum(self._bytes[name] for name in added)
            if gain <= least or grown > self._room:
                if max(gains.values(), default=0.0) <= least:
                    break
                continue
            left -= gain
            self._room -= grown
            found.append(FloatStep(tuple(sorted(added, key=self._order.__getitem__)), gain, max(left, 0.0)))
            self._chosen |= added
            self._refresh(gains, added)
        return tuple(found)

    def _find_partners(self, graph: Graph) -> dict[str, frozenset[str]]:
        """node name -> the int8 nodes that share its weight: the steps of an unrolled LSTM return to float together."""
        found = {}
        for node in graph.nodes:
            weights = [name for slot, name in enumerate(node.inputs) if role(node.op, slot) is Role.WEIGHT]
            readers = {reader.name for name in weights for reader in graph.consumers[name]}
            if len(readers) > 1:
                found[node.name] = frozenset(readers & self._int8)
        return found

    def _with_partners(self, unit: frozenset[str]) -> frozenset[str]:
        return unit.union(*(self._partners.get(name, ()) for name in unit))

    def _refresh(self, gains: dict[frozenset[str], float], added: frozenset[str]) -> None:
        """Gains change for units that touch the new nodes or share a value with them."""
        near = set(added)
        for name in added:
            for value in self._values.get(name, ()):
                near |= self._around[value]
        for unit in [unit for unit in gains if unit & near]:
            if unit <= self._chosen:
                del gains[unit]
            else:
                gains[unit] = self._gain(unit)

    def _gain(self, unit: frozenset[str]) -> float:
        added = unit - self._chosen
        after = self._chosen | unit
        freed = {value for name in added for value in self._values.get(name, ()) if self._around[value] <= after}
        return sum(self._noise.weights.get(name, 0.0) for name in added) + sum(
            self._noise.values[value] for value in freed
        )

    def _cost(self, unit: frozenset[str]) -> float:
        return sum(self._price[name] for name in unit - self._chosen)

    def _first(self, unit: frozenset[str]) -> int:
        return min(self._order[name] for name in unit)

    def _floatable(self, graph: Graph, name: str) -> frozenset[str]:
        """The int8 nodes around a value; a Requantize stands for its reader, with which it comes and goes."""
        found: set[str] = set()
        for node in touching(graph, name):
            stands_for = graph.consumers.get(node.outputs[0], ()) if node.op == "Requantize" else (node,)
            found |= {other.name for other in stands_for if other.name in self._int8}
        return frozenset(found)


def share_price(graph: Graph, more_bytes: Mapping[str, int]) -> dict[str, float]:
    """node name -> share of what all nodes in float would cost: a third each multiplications, elements moved, bytes.

    An order of magnitude, the same on every machine, so that the choice does not depend on where it is made.
    """
    products = [count_products(graph, node) for node in graph.nodes]
    moved = [_count_moved(graph, node) for node in graph.nodes]
    grown = [max(more_bytes[node.name], 0) for node in graph.nodes]
    shares = np.mean([np.divide(costs, max(sum(costs), 1)) for costs in (products, moved, grown)], axis=0)
    shares += CONVERSIONS / max(len(graph.nodes), 1)
    return {node.name: float(share) for node, share in zip(graph.nodes, shares, strict=True)}


def count_products(graph: Graph, node: Node) -> int:
    """Multiplications of a linear node at batch 1; 0 for all others."""
    if node.op not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    result = int(np.prod(graph.shape(node.outputs[0]), dtype=np.int64))
    if node.op == "ConvTranspose":
        source = int(np.prod(graph.shape(node.inputs[0]), dtype=np.int64))
        return source * int(np.prod(graph.shape(node.inputs[1])[1:], dtype=np.int64))
    if node.op == "MatMul":
        return result * int(graph.shape(node.inputs[0])[-1])
    return result * int(np.prod(graph.shape(node.inputs[1])[1:], dtype=np.int64))


def _count_moved(graph: Graph, node: Node) -> int:
    read = [name for slot, name in enumerate(node.inputs) if name and role(node.op, slot) is Role.ACTIVATION]
    return sum(int(np.prod(graph.shape(name), dtype=np.int64)) for name in (*read, *node.outputs))
