"""Scales of imported graphs where an operator wants the same ones on both sides: handed on, requantized, or refused.

A file made elsewhere means float arithmetic between roundings. Data movement commutes with rounding, so a scale may be
handed on through it, and a change of scale on its way may become a Requantize; averages do not commute.
"""

from __future__ import annotations

import dataclasses
import math

from edgekit.shrink.quantization.activations import SYMMETRIC_UNIT, UNIT
from edgekit.types.graph import Graph, Node
from edgekit.types.imported import StoredConstant
from edgekit.types.operators import OPERATORS, Rule
from edgekit.types.qparams import QParams, same

_AVERAGING = frozenset({"AveragePool"})
_FIXED = {Rule.UNIT: UNIT, Rule.SYMMETRIC_UNIT: SYMMETRIC_UNIT}


def spread_scales(graph: Graph, known: dict[str, QParams]) -> dict[str, QParams]:
    """Hand scales on through operators whose results are elements of their inputs; no integer changes by it.

    Args:
        graph: In topological order.
        known: value name -> QParams of the file.

    Returns:
        `known` and what follows from it: forwards always, backwards to values that nobody else reads.
    """
    found = dict(known)
    for node in graph.nodes:
        if _picks_elements(node) and node.inputs[0] in found:
            alike = all(name in found and same(found[name], found[node.inputs[0]]) for name in _data(node))
            for name in node.outputs if alike else ():
                found.setdefault(name, found[node.inputs[0]])
    for node in reversed(graph.nodes):
        ends = [found.get(name) for name in node.outputs]
        if not moves_elements(node) or ends[0] is None or any(end is None or not same(end, ends[0]) for end in ends):
            continue
        for name in _data(node):
            sole = len(graph.consumers[name]) == 1 and name not in graph.outputs
            if sole and name in graph.values:
                found.setdefault(name, ends[0])
    return found


class ExactTies:
    """Makes int8 nodes obey the same-scale rules of the kernels without changing an integer of the file."""

    def __init__(self, graph: Graph, qparams: dict[str, QParams]) -> None:
        self._graph = graph
        self._qparams = qparams
        self.copies: dict[str, str] = {}
        self.params: dict[str, QParams] = {}

    def obstacle(self, node: Node) -> str:
        """Why the scales of the file keep the node from being int8; "" when they do not."""
        rule = OPERATORS[node.op].rule
        result = self._qparams.get(node.outputs[0])
        if rule in _FIXED and (result is None or not same(result, _FIXED[rule])):
            return f"int8 kernels give {node.op} a fixed scale, and the file another one"
        if rule is not Rule.TIED or node.op == "Concat" or moves_elements(node):
            return ""
        source = self._qparams.get(node.inputs[0])
        if source is None or result is None or same(source, result):
            return ""
        return "its result has another scale than its input, which int8 kernels cannot do exactly here"

    def constant(self, node: Node, stored: StoredConstant | None) -> StoredConstant | None:
        """A constant operand; one that is joined to others is rounded to the scale of the result, as the file does."""
        if stored is None or node.op != "Concat":
            return stored
        target = self._qparams[node.outputs[0]]
        return stored if same(stored.params, target) else StoredConstant(target, target.quantize(stored.reals))

    def resolve(self, node: Node) -> list[Node]:
        """The node, with a Requantize before or after it where the file changes the scale on the way."""
        if OPERATORS[node.op].rule is not Rule.TIED:
            return [node]
        return self._joined(node) if node.op == "Concat" else self._followed(node)

    def _joined(self, node: Node) -> list[Node]:
        target = self._qparams[node.outputs[0]]
        inputs: dict[str, str] = {}
        inserted = []
        for name in dict.fromkeys(node.inputs):
            inputs[name] = name
            if name in self._graph.constants or same(self._qparams[name], target):
                continue
            copy = inputs[name] = self._copy(f"{name}.for.{node.name}", name, target)
            inserted.append(Node(f"{copy}.requantize", "Requantize", (name,), (copy,), module=node.module))
        return [*inserted, dataclasses.replace(node, inputs=tuple(inputs[name] for name in node.inputs))]

    def _followed(self, node: Node) -> list[Node]:
        source = self._qparams.get(node.inputs[0])
        outputs, inserted = [], []
        for name in node.outputs:
            target = self._qparams.get(name)
            if source is None or target is None or same(source, target):
                outputs.append(name)
                continue
            copy = self._copy(f"{name}.as.{node.inputs[0]}", name, source)
            outputs.append(copy)
            inserted.append(Node(f"{copy}.requantize", "Requantize", (copy,), (name,), module=node.module))
        return [dataclasses.replace(node, outputs=tuple(outputs)), *inserted]

    def _copy(self, copy: str, source: str, params: QParams) -> str:
        self.copies[copy] = source
        self.params[copy] = params
        return copy


def _data(node: Node) -> tuple[str, ...]:
    return node.inputs if node.op == "Concat" else node.inputs[:1]


def moves_elements(node: Node) -> bool:
    """Whether every element of the result is one of the input (or an exact zero)."""
    if OPERATORS[node.op].rule is not Rule.TIED or node.op in _AVERAGING or node.clamp is not None:
        return False
    if node.op == "Resize":
        return bool(node.attributes["mode"] == "nearest")
    if node.op == "Pad":
        return bool(node.attributes["mode"] != "constant" or node.attributes["value"] == 0.0)
    return True


def _picks_elements(node: Node) -> bool:
    """Moves, or a ReLU: its result lies on the grid of its input, of which 0 is a point."""
    if node.op == "Clip":
        return node.attributes["low"] in (0.0, -math.inf) and node.attributes["high"] == math.inf
    return moves_elements(node)
