"""Moves scalar factors onward until linear layers take them in, so that no integer kernel has to multiply by them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.linear_weights import LINEAR, scale_inputs
from edgekit.types.graph import Graph, Node

COMMUTING = frozenset(
    {
        "Reshape", "Transpose", "Slice", "Expand", "Split", "DepthToSpace", "SpaceToDepth", "LeakyRelu",
        "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceMax",
    }
)  # fmt: skip
"""Operators f with f(k * x) = k * f(x) for every k > 0."""


def sink_factors(graph: Graph) -> Graph:
    """Drop `x * k` for a scalar k > 0 where linear layers behind it can multiply their weights by k instead.

    Every way from the product has to end at the input of a linear layer, through operators of `COMMUTING`, clips
    (their bounds are divided by k) and products of which one operand alone comes from it. So the sixth of every
    HardSwish goes, with squeeze-and-excite behind it too; one that a residual sum reads stays.
    """
    editor = Editor(graph)
    for node in editor.each("Mul"):
        factor, source = _factor(editor, node)
        if factor <= 0:
            continue
        way = _follow(editor, node.outputs[0])
        if way is None:
            continue
        for layer in way.layers:
            channels = editor.shape(layer.inputs[0])[-1 if layer.op == "Gemm" else 1]
            scale_inputs(editor, layer, np.full(channels, factor), np.zeros(channels))
        for clip in way.clips:
            bounds = {end: float(np.float32(clip.attributes[end] / factor)) for end in ("low", "high")}
            editor.replace(clip, attributes=bounds)
        editor.substitute(node, source)
    return editor.graph()


@dataclass
class _Way:
    """Where a value goes.

    Attributes:
        values: It, and all that is proportional to it.
        layers: Linear layers at the ends.
        clips: Clips on the way.
        products: Products on the way.
    """

    values: set[str]
    layers: list[Node] = field(default_factory=list)
    clips: list[Node] = field(default_factory=list)
    products: list[Node] = field(default_factory=list)


def _factor(editor: Editor, node: Node) -> tuple[float, str]:
    """The scalar that a product multiplies by and its other operand; (0, "") where it is none."""
    for slot, name in enumerate(node.inputs):
        factor, source = editor.scalar(name), node.inputs[1 - slot]
        if factor is None or editor.constant(source) is not None or node.clamp is not None:
            continue
        if editor.dtype(source) == "float32" and editor.shape(source) == editor.shape(node.outputs[0]):
            return factor, source
    return 0.0, ""


def _follow(editor: Editor, value: str) -> _Way | None:
    """The whole way of a value; None where some of it ends at anything but a linear layer."""
    way, open_values = _Way({value}), [value]
    while open_values:
        name = open_values.pop()
        users = editor.users(name)
        if editor.is_result(name) or not users:
            return None
        for user in users:
            if user.op in LINEAR and user.inputs.count(name) == 1 and user.inputs[0] == name:
                way.layers.append(user)
                continue
            if user.clamp is not None or not (user.op in COMMUTING or user.op in ("Clip", "Mul")):
                return None
            (way.clips if user.op == "Clip" else way.products if user.op == "Mul" else []).append(user)
            new = [result for result in user.outputs if result not in way.values]
            way.values.update(new)
            open_values += new
    if any(all(name in way.values for name in product.inputs) for product in way.products):
        return None  # proportional to the square
    return way
