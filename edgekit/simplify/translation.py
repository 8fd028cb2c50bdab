"""Translates every imported ONNX node into the dialect; what has no translation is marked for the audit."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.errors import UnsupportedOpError
from edgekit.simplify import (
    activations,
    arithmetic,
    attention,
    einsum,
    linear,
    movement,
    normalization,
    recurrent,
    reductions,
    resizing,
    windows,
)
from edgekit.simplify.audit import REFUSED
from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation
from edgekit.types.graph import Graph

TRANSLATIONS: Mapping[str, Translation] = {
    **movement.TRANSLATIONS,
    **windows.TRANSLATIONS,
    **arithmetic.TRANSLATIONS,
    **reductions.TRANSLATIONS,
    **linear.TRANSLATIONS,
    **activations.TRANSLATIONS,
    **normalization.TRANSLATIONS,
    **resizing.TRANSLATIONS,
    **recurrent.TRANSLATIONS,
    **attention.TRANSLATIONS,
    **einsum.TRANSLATIONS,
}
"""ONNX operator -> the function that puts dialect nodes in its place."""


def translate(graph: Graph) -> Graph:
    """Put dialect nodes in the place of ONNX nodes.

    Rules:
        1. Each operator with a row in TRANSLATIONS is translated by it.
        2. A refusal marks the node with its reason and leaves it.
        3. Operators without a row stay, for later passes (BatchNormalization) or the audit.
    """
    editor = Editor(graph)
    for node in editor.each():
        translation = TRANSLATIONS.get(node.op)
        if translation is None:
            continue
        try:
            translation(editor, node)
        except UnsupportedOpError as refused:
            _, _, reason = refused.operators[0]
            editor.replace(editor.nodes[node.name], op=REFUSED + node.op, attributes={"reason": reason})
    return editor.graph()
