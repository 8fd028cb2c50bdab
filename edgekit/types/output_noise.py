"""OutputNoise: how much of the noise at a model's outputs each weight and each rounded value is the cause of.

It decides which layers return to float, and it explains a loss of accuracy: a layer that holds its own values badly may
matter little, and one that holds them well may matter much.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from edgekit.types.graph import Graph, Node


@dataclass(frozen=True)
class OutputNoise:
    """Noise powers at the float outputs, each over the signal power there; they add up to the whole to first order.

    Attributes:
        weights: node name -> from rounding the constants it computes with: weight, bias, operand.
        values: value name -> from rounding that value.
        samples: How many samples were looked at.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0

    @property
    def total(self) -> float:
        """All noise over the signal: `-10 log10(total)` is about the SQNR of the outputs, dB."""
        return sum(self.weights.values()) + sum(self.values.values())

    def share_of(self, node: Node) -> float:
        """Share of all noise that comes from the node's constants and the rounding of its results, 0..1."""
        own = self.weights.get(node.name, 0.0) + sum(self.values.get(name, 0.0) for name in node.outputs)
        return own / self.total if self.total > 0 else 0.0

    def without(self, graph: Graph, in_float: Collection[str]) -> float:
        """Noise over signal that is left when some nodes compute in float.

        A node in float has exact constants. A value stays rounded as long as one node that reads or writes it is int8.

        Args:
            graph: The graph that was scanned.
            in_float: Names of the nodes.
        """
        kept = sum(noise for name, noise in self.weights.items() if name not in in_float)
        return kept + sum(
            noise
            for name, noise in self.values.items()
            if any(node.name not in in_float for node in touching(graph, name))
        )


def touching(graph: Graph, name: str) -> tuple[Node, ...]:
    """The nodes that write or read a value."""
    readers = graph.consumers.get(name, ())
    return (graph.producers[name], *readers) if name in graph.producers else readers
