"""Gives every role of a shared constant its own copy, so that each can have its own integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from edgekit.types.graph import Graph, Node
from edgekit.types.operators import Role, role


def separate_roles(graph: Graph) -> Graph:
    """Copy constants (by name; the array is shared) until each is read in one way only.

    1. A bias belongs to one node: its scale depends on that node's input.
    2. A weight may serve several nodes of the same operator (an unrolled LSTM reads one matrix at every step).
    3. A constant that is also an operand, a table or a float parameter gets a copy for each of those uses.
    """
    owners: dict[str, tuple[str, ...]] = {}
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for slot, name in enumerate(node.inputs):
            if name not in graph.constants:
                continue
            use = _use(node, slot)
            if owners.setdefault(name, use) == use:
                continue
            inputs[slot] = f"{name}.{'.'.join(use)}"
            constants[inputs[slot]] = graph.constants[name]
        nodes.append(dataclasses.replace(node, inputs=tuple(inputs)) if tuple(inputs) != node.inputs else node)
    return dataclasses.replace(graph, nodes=tuple(nodes), constants=constants)


def spare_islands(graph: Graph, islands: Collection[str]) -> Graph:
    """Copy weights that nodes of both kinds read: what computes in float reads the float weight, not its integers.

    Args:
        graph: With roles separated.
        islands: Names of the nodes that compute in float.
    """
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for slot, name in enumerate(inputs if node.name in islands else ()):
            if name not in graph.constants or role(node.op, slot) is not Role.WEIGHT:
                continue
            if all(reader.name in islands for reader in graph.consumers[name]):
                continue
            inputs[slot] = f"{name}.float"
            constants[inputs[slot]] = graph.constants[name]
        nodes.append(dataclasses.replace(node, inputs=tuple(inputs)) if tuple(inputs) != node.inputs else node)
    return dataclasses.replace(graph, nodes=tuple(nodes), constants=constants)


def _use(node: Node, slot: int) -> tuple[str, ...]:
    kind = role(node.op, slot)
    if kind is Role.WEIGHT:
        return (node.op, "weight")
    return (node.name, str(slot)) if kind is Role.BIAS else (kind.value,)
