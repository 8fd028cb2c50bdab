"""Translates Einsum of two operands into MatMul between Transposes and Reshapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, refusal
from edgekit.types.graph import Node


def einsum(editor: Editor, node: Node) -> None:
    """Einsum of two operands, each label at most once per operand.

    Rules:
        1. Labels in both operands and the result stay in front; labels in both but not in the result are summed.
        2. Left (B.., L.., S..) times right (B.., S.., R..) is one MatMul of (B.., prod L, prod S) and
           (B.., prod S, prod R), reshaped and transposed to the asked order.
        3. Refused: other operand counts, ellipses, repeated labels, labels summed over in one operand only.
    """
    terms, wanted = _parsed(node)
    left, right = terms
    shared = [label for label in left if label in right and label in wanted]
    summed = [label for label in left if label in right and label not in wanted]
    only_left = [label for label in left if label not in right]
    only_right = [label for label in right if label not in left]
    if not summed or any(label not in wanted for label in (*only_left, *only_right)):
        raise refusal(node, f"equation {node.attributes['equation']} is no matrix product")
    sizes = {
        label: size
        for term, name in zip(terms, node.inputs, strict=True)
        for label, size in zip(term, editor.shape(name), strict=True)
    }
    first = _arranged(editor, node, 0, left, (shared, only_left, summed), sizes)
    second = _arranged(editor, node, 1, right, (shared, summed, only_right), sizes)
    result = editor.add("MatMul", [first, second], like=node)
    order = [*shared, *only_left, *only_right]
    result = editor.add("Reshape", [result], like=node, attributes={"shape": tuple(sizes[label] for label in order)})
    perm = tuple(order.index(label) for label in wanted)
    editor.substitute(node, editor.add("Transpose", [result], like=node, attributes={"perm": perm}))


def _parsed(node: Node) -> tuple[tuple[str, str], str]:
    equation = str(node.attributes["equation"]).replace(" ", "")
    if len(node.inputs) != 2 or "." in equation or "->" not in equation:
        raise refusal(node, f"equation {equation} is not of two operands and one result")
    operands, wanted = equation.split("->")
    left, right = operands.split(",")
    if any(len(set(term)) != len(term) for term in (left, right, wanted)):
        raise refusal(node, f"equation {equation} repeats a label")
    return (left, right), wanted


def _arranged(
    editor: Editor, node: Node, slot: int, term: str, groups: Sequence[Sequence[str]], sizes: Mapping[str, int]
) -> str:
    """Operand `slot` as (shared.., rows, columns); a constant is arranged here and now."""
    shared, rows, columns = groups
    perm = tuple(term.index(label) for label in (*shared, *rows, *columns))
    shape = (
        *(sizes[label] for label in shared),
        prod(sizes[label] for label in rows),
        prod(sizes[label] for label in columns),
    )
    name = node.inputs[slot]
    array = editor.constant(name)
    if array is not None:
        return editor.add_constant(np.ascontiguousarray(array.transpose(perm).reshape(shape)), name)
    name = editor.add("Transpose", [name], like=node, attributes={"perm": perm})
    return editor.add("Reshape", [name], like=node, attributes={"shape": shape})


TRANSLATIONS: Mapping[str, Translation] = {"Einsum": einsum}
"""ONNX operator -> its translation."""
