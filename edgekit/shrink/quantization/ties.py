"""Groups values that must share one scale, and inserts Requantize where they cannot.

Both runtimes run pools, reshapes, slices, pads, resizes, gathers and concatenations on the bare integers, so all their
inputs and outputs must mean the same reals (LiteRT quantization specification, "same scale" operators).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from edgekit.types.graph import Graph, Node, Value
from edgekit.types.operators import OPERATORS, Role, Rule, role

Kind = tuple[str, object]
FREE: Kind = ("free", None)


@dataclass(frozen=True, eq=False)
class Ties:
    """The graph with Requantize nodes in place, and who shares a scale with whom.

    Attributes:
        graph: The graph to quantize.
        groups: value or constant name -> name of its group.
        fixed: group name -> the Rule that fixes its QParams.
        copies: inserted value -> the value it requantizes.
    """

    graph: Graph
    groups: Mapping[str, str]
    fixed: Mapping[str, Rule]
    copies: Mapping[str, str]


def tie(graph: Graph, islands: Collection[str]) -> Ties:
    """Group the values of the int8 nodes.

    1. A tied operator's input and outputs are one group.
    2. A Concat joins its inputs only when all have the same origin: all free, or all with the same absorbed clamp
       or the same fixed scale. A wider shared range would make a clamp visible again (and break its fusion).
    3. An input of another origin passes through a Requantize that is inserted for it.
    """
    forest = _Forest()
    nodes = [node for node in graph.nodes if node.name not in islands]
    for node in nodes:
        if OPERATORS[node.op].rule is Rule.TIED and node.op != "Concat":
            for output in node.outputs:
                if graph.dtype(output) == "float32":
                    forest.join(node.inputs[0], output)
    kinds: dict[str, Kind] = {forest.root(name): kind for name, kind in _origins(graph, nodes).items()}
    copies: dict[str, str] = {}
    rewritten: dict[str, list[Node]] = {}
    for node in nodes:
        if node.op == "Concat":
            rewritten[node.name] = _join_concat(node, forest, kinds, copies)
    tied = _insert(graph, rewritten, copies)
    names = [*tied.values, *tied.constants]
    groups = {name: forest.root(name) for name in names}
    fixed = {root: kind[1] for root, kind in kinds.items() if kind[0] == "fixed" and isinstance(kind[1], Rule)}
    return Ties(tied, groups, fixed, copies)


class _Forest:
    """Union-find over names."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def join(self, kept: str, other: str) -> None:
        first, second = self.root(kept), self.root(other)
        if first != second:
            self._parents[second] = first


def _origins(graph: Graph, nodes: list[Node]) -> dict[str, Kind]:
    """What the node that computes each value says of its range."""
    origins: dict[str, Kind] = {}
    for node in nodes:
        rule = OPERATORS[node.op].rule
        if rule in (Rule.UNIT, Rule.SYMMETRIC_UNIT):
            origins[node.outputs[0]] = ("fixed", rule)
        elif node.clamp is not None and rule is Rule.FREE:
            origins[node.outputs[0]] = ("clamp", node.clamp)
    return origins


def _join_concat(node: Node, forest: _Forest, kinds: dict[str, Kind], copies: dict[str, str]) -> list[Node]:
    """Join what may be joined; returns the Requantize nodes and the Concat that reads them."""
    result = node.outputs[0]
    found = {name: kinds.get(forest.root(name), FREE) for name in node.inputs}
    if len(set(found.values())) == 1:
        shared = next(iter(found.values()))
        for name in node.inputs:
            forest.join(result, name)
        kinds[forest.root(result)] = shared
        return [node]
    inputs: dict[str, str] = {}
    inserted: list[Node] = []
    for name in dict.fromkeys(node.inputs):
        if found[name] == FREE:
            forest.join(result, name)
            inputs[name] = name
            continue
        copy = f"{name}.for.{node.name}"
        copies[copy] = name
        inserted.append(Node(f"{copy}.requantize", "Requantize", (name,), (copy,), module=node.module))
        forest.join(result, copy)
        inputs[name] = copy
    return [*inserted, dataclasses.replace(node, inputs=tuple(inputs[name] for name in node.inputs))]


def _insert(graph: Graph, rewritten: Mapping[str, list[Node]], copies: Mapping[str, str]) -> Graph:
    if not copies:
        return graph
    nodes = [new for node in graph.nodes for new in rewritten.get(node.name, [node])]
    values, batch_axes = dict(graph.values), dict(graph.batch_axes)
    for copy, source in copies.items():
        values[copy] = Value(copy, graph.shape(source))
        if source in batch_axes:
            batch_axes[copy] = batch_axes[source]
    return dataclasses.replace(graph, nodes=tuple(nodes), values=values, batch_axes=batch_axes)


def float_activations(graph: Graph, node: Node) -> tuple[str, ...]:
    """Names of the float32 activations a node reads and writes, constants among them."""
    read = [name for slot, name in enumerate(node.inputs) if name and role(node.op, slot) is Role.ACTIVATION]
    return tuple(dict.fromkeys(name for name in (*read, *node.outputs) if graph.dtype(name) == "float32"))
