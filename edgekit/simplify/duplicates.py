"""Common subexpressions and equal constants, each kept once."""

from __future__ import annotations

from typing import Any

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node
from edgekit.types.operators import OPERATORS, Role, role
from edgekit.types.qparams import Array

SMALL_BYTES = 4096
"""Constants up to this size are compared by content, larger ones only by identity."""


def merge_duplicates(graph: Graph) -> Graph:
    """Keep one of equal nodes and equal small constants.

    Rules:
        1. Constant operands of at most 4 kB with the same type, shape and bytes are one; weights and biases belong to
           their node.
        2. Nodes with the same operator, inputs, attributes and clamp are one; graph results keep their own node.
    """
    editor = Editor(graph)
    seen: dict[Any, str] = {}
    for name, array in list(editor.constants.items()):
        if array.nbytes <= SMALL_BYTES and _is_operand(editor, name):
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


def _is_operand(editor: Editor, name: str) -> bool:
    roles = {
        role(user.op, slot)
        for user in editor.users(name)
        if user.op in OPERATORS
        for slot, read in enumerate(user.inputs)
        if read == name
    }
    return bool(roles) and roles <= {Role.ACTIVATION, Role.INDEX}


def _content(array: Array) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), tuple(array.shape), array.tobytes()
