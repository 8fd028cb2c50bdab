"""Translates activation functions; those without an int8 form become float primitives that both runtimes have."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.hard_swish import hard_sigmoid, hard_swish
from edgekit.simplify.static_arguments import Translation
from edgekit.types.graph import Graph, Node

SELU_ALPHA = 1.67326319217681884765625
SELU_GAMMA = 1.05070102214813232421875
"""Defaults of the ONNX operator Selu."""


class _Formula:
    """Appends primitives that inherit one node's module."""

    def __init__(self, editor: Editor, node: Node) -> None:
        self.editor, self.node = editor, node
        self.x = node.inputs[0]

    def const(self, value: float) -> str:
        return self.editor.add_constant(np.asarray(value, np.float32), f"{self.node.name}/constant")

    def op(self, name: str, *inputs: str) -> str:
        return self.editor.add(name, inputs, like=self.node)

    def clip(self, value: str, low: float, high: float) -> str:
        return self.editor.add("Clip", [value], like=self.node, attributes={"low": low, "high": high})

    def done(self, result: str) -> None:
        self.editor.substitute(self.node, result)


def gelu(editor: Editor, node: Node) -> None:
    """Gelu of opset 20, exact or with tanh."""
    editor.replace(node, attributes={"approximate": str(node.attributes.get("approximate", "none"))})


def swish(editor: Editor, node: Node) -> None:
    """Swish of opset 24: `x * sigmoid(alpha * x)`."""
    f = _Formula(editor, node)
    alpha = float(node.attributes.get("alpha", 1.0))
    inner = f.x if alpha == 1.0 else f.op("Mul", f.x, f.const(alpha))
    f.done(f.op("Mul", f.x, f.op("Sigmoid", inner)))


def elu(editor: Editor, node: Node) -> None:
    """Elu, Selu, Celu: `gamma * (max(x, 0) + alpha * (exp(min(x, 0) / width) - 1))`."""
    f = _Formula(editor, node)
    alpha = float(node.attributes.get("alpha", SELU_ALPHA if node.op == "Selu" else 1.0))
    gamma = float(node.attributes.get("gamma", SELU_GAMMA)) if node.op == "Selu" else 1.0
    below = f.clip(f.x, -math.inf, 0.0)
    if node.op == "Celu" and alpha != 1.0:
        below = f.op("Mul", below, f.const(1.0 / alpha))
    powers = f.op("Add", f.op("Exp", below), f.const(-1.0))
    if alpha * gamma != 1.0:
        powers = f.op("Mul", powers, f.const(alpha * gamma))
    above = f.clip(f.x, 0.0, math.inf)
    if gamma != 1.0:
        above = f.op("Mul", above, f.const(gamma))
    f.done(f.op("Add", above, powers))


def softplus(editor: Editor, node: Node) -> None:
    """`max(x, 0) + log(1 + exp(-|x|))`, which cannot overflow."""
    f = _Formula(editor, node)
    f.done(_softplus(f))


def _softplus(f: _Formula) -> str:
    decay = f.op("Exp", f.op("Mul", f.op("Abs", f.x), f.const(-1.0)))
    return f.op("Add", f.clip(f.x, 0.0, math.inf), f.op("Log", f.op("Add", decay, f.const(1.0))))


def mish(editor: Editor, node: Node) -> None:
    """`x * tanh(softplus(x))`."""
    f = _Formula(editor, node)
    f.done(f.op("Mul", f.x, f.op("Tanh", _softplus(f))))


def softsign(editor: Editor, node: Node) -> None:
    """`x / (1 + |x|)`."""
    f = _Formula(editor, node)
    f.done(f.op("Mul", f.x, f.op("Reciprocal", f.op("Add", f.op("Abs", f.x), f.const(1.0)))))


def drop_softplus_threshold(graph: Graph) -> Graph:
    """torch's softplus returns x above a threshold, where it equals softplus in float32 anyway.

    Rules:
        1. Where(Greater(b * x, threshold >= 15), x, Softplus(b * x) / b): the third operand.
    """
    editor = Editor(graph)
    for node in editor.each("Where"):
        condition, _, soft = (editor.producer(name) for name in node.inputs)
        while soft is not None and soft.op in ("Div", "Mul") and editor.scalar(soft.inputs[1]) is not None:
            soft = editor.producer(soft.inputs[0])
        if condition is None or condition.op != "Greater" or soft is None or soft.op != "Softplus":
            continue
        threshold = editor.scalar(condition.inputs[1])
        inner = editor.producer(soft.inputs[0])
        origin = {soft.inputs[0], *(inner.inputs if inner is not None and inner.op == "Mul" else ())}
        if threshold is not None and threshold >= 15 and node.inputs[1] in origin and condition.inputs[0] in origin:
            editor.substitute(node, node.inputs[2])
    return editor.graph()


TRANSLATIONS: Mapping[str, Translation] = {
    "HardSwish": hard_swish,
    "HardSigmoid": hard_sigmoid,
    "Gelu": gelu,
    "Swish": swish,
    "Elu": elu,
    "Selu": elu,
    "Celu": elu,
    "Softplus": softplus,
    "Mish": mish,
    "Softsign": softsign,
}
"""ONNX operator -> its translation."""
