"""Readable, unique names: nodes after their torch module, values after their node."""

from __future__ import annotations

import dataclasses

from edgekit.types.graph import Graph, Node, Value
from edgekit.types.operators import OPERATORS, Role, role


def name_by_module(graph: Graph) -> Graph:
    """Rename nodes and inner values.

    Rules:
        1. A node is called `module/op` (or `op` at top level), with `_2`, `_3` where that is taken.
        2. Its result has the node's name; further results end in `:1`, `:2`.
        3. A constant that only one node reads, as weight, bias or parameter, is called `node.weight`, `node.bias`, ...
        4. Graph inputs, results and other constants keep their names.
    """
    border = {*graph.inputs, *graph.outputs}
    taken = {*border, *graph.constants}
    counts: dict[str, int] = {}
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    readers = graph.consumers
    for node in graph.nodes:
        name = _fresh(f"{node.module}/{node.op}" if node.module else node.op, taken, counts)
        for position, value in enumerate(node.outputs):
            if value not in border:
                renamed[value] = name if position == 0 else f"{name}:{position}"
        for slot, constant in enumerate(node.inputs):
            part = _part(node, slot)
            if part and constant in graph.constants and len(readers[constant]) == 1:
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
    if node.op not in OPERATORS:
        return ""
    match role(node.op, slot):
        case Role.WEIGHT:
            return "weight"
        case Role.BIAS:
            return "bias"
        case Role.PARAMETER:
            return ("", "scale", "bias")[slot]
    return ""


def _fresh(stem: str, taken: set[str], counts: dict[str, int]) -> str:
    name = stem
    while name in taken:
        counts[stem] = counts.get(stem, 1) + 1
        name = f"{stem}_{counts[stem]}"
    taken.add(name)
    return name
