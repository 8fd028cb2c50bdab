"""Common subexpressions and equal constants, each kept once."""

from __future__ import annotations

from typing import Any

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node
from edgekit.types.operators import OPERATORS
from edgekit.types.qparams import Array

SMALL_BYTES = 4096
"""Constants up to this size are compared by content, larger ones only by identity."""


def merge_duplicates(graph: Graph) -> Graph:
    """Keep one of equal nodes and equal small constants.

    Rules:
        1. Constants of at most 4 kB with the same type, shape and bytes are one.
        2. Nodes with the same operator, inputs, attributes and clamp are one; graph results keep their own node.
    """
    editor = Editor(graph)
    seen: dict[Any, str] = {}
    for name, array in list(editor.constants.items()):
        if array.nbytes <= SMALL_BYTES and editor.users(name):
            editor.redirect(name, seen.setdefault(_content(array), name))
    known: dict[Any, Node] = {}
    for node in editor.each(*OPERATORS):
        key = (node.op, node.inputs, tuple(sorted(node.attributes.items())), node.clamp, len(node.outputs))
        first = known.setdefault(key, node)
        if first is node or any(editor.is_result(name) for name in node.outputs):
            continue
        editor.remove(node)
        for old, new in zip(node.outputs, first.outputs, strict=True):
            editor.redirect(old, new)
    return editor.graph()


def _content(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), tuple(array.shape), array.tobytes()
