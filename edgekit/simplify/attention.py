"""Attention as MatMul and Softmax, which both runtimes have in int8: written out, and without what exporters add."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgekit.simplify.arithmetic import MASKED, finite
from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, refusal
from edgekit.types.graph import Graph, Node


def drop_nan_guards(graph: Graph) -> Graph:
    """torch's exporter of `scaled_dot_product_attention` puts 0 where a softmax is NaN: where a row is masked whole.

    Rules:
        1. Where(IsNaN(p), c, p) of p = Softmax(scores), or of p = Softmax(scores + constant mask) with something left
           in every row: p. Scores are a product of finite values.
    """
    editor = Editor(graph)
    for node in editor.each("Where"):
        condition, weights = editor.producer(node.inputs[0]), editor.producer(node.inputs[2])
        if condition is None or condition.op != "IsNaN" or condition.inputs[0] != node.inputs[2]:
            continue
        if weights is not None and weights.op == "Softmax" and _has_open_rows(editor, weights):
            editor.substitute(node, node.inputs[2])
    return editor.graph()


def _has_open_rows(editor: Editor, softmax: Node) -> bool:
    scores = editor.producer(softmax.inputs[0])
    axis = int(softmax.attributes.get("axis", -1))
    last = len(editor.shape(softmax.inputs[0])) - 1
    if scores is not None and scores.op == "Add" and axis in (-1, last):
        mask = next((array for array in map(editor.constant, scores.inputs) if array is not None), None)
        if mask is None or not (np.max(np.atleast_1d(mask), axis=-1) > -math.inf).all():
            return False
        scores = next((made for made in map(editor.producer, scores.inputs) if made is not None), None)
    return scores is not None and scores.op in ("MatMul", "Mul", "Div")


def attention(editor: Editor, node: Node) -> None:
    """`softmax(Q K' * scale + mask) V` (Vaswani et al. 2017), heads on axis 1.

    Rules:
        1. Inputs of rank 3 (N, T, heads * size) are reshaped to heads and the result back.
        2. Fewer key heads than query heads (grouped queries) are repeated by an Expand.
        3. A causal mask and a constant mask are one added constant; -inf becomes -1e4. A mask computed at run time
           is added as it is.
        4. Refused: past keys and values, results besides Y, soft caps, boolean masks computed at run time.
    """
    _check(editor, node)
    query, key, value = (_by_heads(editor, node, slot) for slot in range(3))
    query_heads, size = editor.shape(query)[1], editor.shape(query)[-1]
    key, value = (_repeated(editor, node, name, query_heads) for name in (key, value))
    scale = float(node.attributes.get("scale", 1.0 / math.sqrt(size)))
    factor = editor.add_constant(np.asarray(scale, np.float32), f"{node.name}/scale")
    scaled = editor.add("Mul", [query, factor], like=node)
    turned = editor.add("Transpose", [key], like=node, attributes={"perm": (0, 1, 3, 2)})
    scores = editor.add("MatMul", [scaled, turned], like=node)
    mask = _mask(editor, node, editor.shape(scores)[-2:])
    if mask is not None:
        scores = editor.add("Add", [scores, mask], like=node)
    weights = editor.add("Softmax", [scores], like=node, attributes={"axis": 3})
    result = editor.add("MatMul", [weights, value], like=node)
    if len(editor.shape(node.outputs[0])) == 3:
        result = editor.add("Transpose", [result], like=node, attributes={"perm": (0, 2, 1, 3)})
        result = editor.add("Reshape", [result], like=node, attributes={"shape": editor.shape(node.outputs[0])})
    editor.substitute(node, result)


def _check(editor: Editor, node: Node) -> None:
    if len(node.outputs) > 1:
        raise refusal(node, "its keys, values or scores are read")
    if any(node.inputs[4:]):
        raise refusal(node, "it takes past keys or values")
    if node.attributes.get("softcap", 0.0):
        raise refusal(node, "it caps its scores")
    mask = node.inputs[3] if len(node.inputs) > 3 else ""
    if mask and editor.constant(mask) is None and editor.dtype(mask) != "float32":
        raise refusal(node, f"its mask is {editor.dtype(mask)} computed at run time")


def _by_heads(editor: Editor, node: Node, slot: int) -> str:
    """Input `slot` as (N, heads, T, size)."""
    name = node.inputs[slot]
    shape = editor.shape(name)
    if len(shape) == 4:
        return name
    heads = int(node.attributes["q_num_heads" if slot == 0 else "kv_num_heads"])
    split = (*shape[:2], heads, shape[2] // heads)
    name = editor.add("Reshape", [name], like=node, attributes={"shape": split})
    return editor.add("Transpose", [name], like=node, attributes={"perm": (0, 2, 1, 3)})


def _repeated(editor: Editor, node: Node, name: str, heads: int) -> str:
    batch, own, length, size = editor.shape(name)
    if own == heads:
        return name
    name = editor.add("Reshape", [name], like=node, attributes={"shape": (batch, own, 1, length, size)})
    wide = {"shape": (batch, own, heads // own, length, size)}
    name = editor.add("Expand", [name], like=node, attributes=wide)
    return editor.add("Reshape", [name], like=node, attributes={"shape": (batch, heads, length, size)})


def _mask(editor: Editor, node: Node, shape: tuple[int, ...]) -> str | None:
    given = node.inputs[3] if len(node.inputs) > 3 else ""
    array = editor.constant(given) if given else None
    total = np.zeros(shape, np.float32)
    if node.attributes.get("is_causal", 0):
        total = np.where(np.tri(shape[0], shape[1]) > 0, np.float32(0), np.float32(MASKED))
    if array is not None:
        added = np.where(array, 0.0, MASKED) if array.dtype == np.bool_ else finite(array)
        total = np.maximum(total + added.astype(np.float32), np.float32(MASKED))
    causal = editor.add_constant(total, f"{node.name}/mask") if total.any() else None
    if given and array is None:
        return given if causal is None else editor.add("Add", [given, causal], like=node)
    return causal


TRANSLATIONS: Mapping[str, Translation] = {"Attention": attention}
"""ONNX operator -> its translation."""
