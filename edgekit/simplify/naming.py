"""Readable, unique names: nodes after their torch module, values after their node."""

from __future__ import annotations

import dataclasses

from edgekit.types.graph import Graph, Node, Value
from edgekit.types.operators import Role, role


def name_by_module(graph: Graph) -> Graph:
    """Rename nodes and inner values.

    Rules:
        1. A node is called `module/op` (or `op` at top level), with `_2`, `_3` where that is taken.
        2. Its result has the node's name; further results end in `:1`, `:2`.
        3. A constant is called after the first node that reads it and what it is to it: `node.weight`, `node.bias`,
           `node.table`, `node.operand`, ...
        4. Graph inputs and results keep their names.
    """
    border = {*graph.inputs, *graph.outputs}
    taken = set(border)
    counts: dict[str, int] = {}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        name = _fresh(f"{node.module}/{node.op}" if node.module else node.op, taken, counts)
        for position, value in enumerate(node.outputs):
            if value not in border:
                renamed[value] = name if position == 0 else f"{name}:{position}"
        for slot, constant in enumerate(node.inputs):
            part = _part(node, slot)
            if constant in graph.constants and constant not in renamed:
                renamed[constant] = _fresh(f"{name}.{part}", taken, counts)
        nodes.append(
            dataclasses.replace(
                node,
                name=name,
                inputs=tuple(renamed.get(value, value) for value in node.inputs),
                outputs=tuple(renamed.get(value, value) for value in node.outputs),
            )
        )
    values = {renamed.get(name, name): value for name, value in graph.values.items()}
    return dataclasses.replace(
        graph,
        nodes=tuple(nodes),
        constants={renamed.get(key, key): array for key, array in graph.constants.items()},
        values={name: Value(name, value.shape, value.dtype) for name, value in values.items()},
        batch_axes={renamed.get(name, name): axis for name, axis in graph.batch_axes.items()},
    )


def _part(node: Node, slot: int) -> str:
    kind = role(node.op, slot)
    if kind is Role.PARAMETER:
        return ("data", "scale", "bias")[slot]
    if kind is Role.ACTIVATION:
        return "table" if node.op == "Gather" else "operand"
    return "indices" if kind is Role.INDEX else kind.value


def _fresh(stem: str, taken: set[str], counts: dict[str, int]) -> str:
    name = stem
    while name in taken:
        counts[stem] = counts.get(stem, 1) + 1
        name = f"{stem}_{counts[stem]}"
    taken.add(name)
    return name
