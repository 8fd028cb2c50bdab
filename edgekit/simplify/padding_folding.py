"""Folds explicit Pad nodes into the windows that read them."""

from __future__ import annotations

import math

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node

LOWEST = -3.0e38
"""A finite constant below this stands for -inf."""


def fold_padding(graph: Graph) -> Graph:
    """Fold Pad into convolutions and pools.

    Rules (spatial axes only, constant mode):
        1. Conv(Pad(x, 0)): pads are added. Every Conv that reads the Pad is served; other readers keep it.
        2. AveragePool(Pad(x, 0)) whose own pads are 0 or counted: pads are added and counted.
        3. MaxPool(Pad(x, -inf)): pads are added.
        4. MaxPool(Pad(x, 0)) with x >= 0 by its clamp, windows that always hold one real element: pads are added.
    """
    editor = Editor(graph)
    for node in editor.each("Pad"):
        pads = node.attributes["pads"]
        rank = len(pads) // 2
        if node.attributes["mode"] != "constant" or rank < 3 or any(pads[:2]) or any(pads[rank : rank + 2]):
            continue
        spatial = (*pads[2:rank], *pads[rank + 2 :])
        for user in editor.users(node.outputs[0]):
            _fold(editor, node, user, spatial)
    return editor.graph()


def _fold(editor: Editor, node: Node, user: Node, spatial: tuple[int, ...]) -> None:
    value = float(node.attributes["value"])
    if user.op not in ("Conv", "AveragePool", "MaxPool") or user.inputs[0] != node.outputs[0]:
        return
    attributes = dict(user.attributes)
    own = attributes["pads"]
    if user.op == "Conv" and value != 0.0:
        return
    if user.op == "AveragePool":
        if value != 0.0 or (any(own) and not attributes["count_include_pad"]):
            return
        attributes["count_include_pad"] = 1
    if user.op == "MaxPool" and not (value <= LOWEST or _neutral_zero(editor, node, user, spatial, value)):
        return
    attributes["pads"] = tuple(first + second for first, second in zip(own, spatial, strict=True))
    editor.replace(user, inputs=[node.inputs[0], *user.inputs[1:]], attributes=attributes)


def _neutral_zero(editor: Editor, node: Node, user: Node, spatial: tuple[int, ...], value: float) -> bool:
    producer = editor.producer(node.inputs[0])
    if value != 0.0 or producer is None:
        return False
    low = producer.clamp[0] if producer.clamp else producer.attributes.get("low", -math.inf)
    if low < 0.0 or (producer.clamp is None and producer.op != "Clip"):
        return False
    kernel = user.attributes["kernel_shape"]
    total = [first + second for first, second in zip(user.attributes["pads"], spatial, strict=True)]
    return all(pad < kernel[index % len(kernel)] for index, pad in enumerate(total))
