"""Gemm as the dialect has it, the torch Linear: `y[..., o] = sum_k x[..., k] w[o, k] + b[o]` with constant w and b."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array


def gemm(editor: Editor, node: Node) -> None:
    """ONNX Gemm, `alpha * A' * B' + beta * C`.

    Rules:
        1. transA becomes a Transpose of A.
        2. A constant B is the weight, turned and scaled by alpha; otherwise MatMul, Transpose and Mul are left.
        3. A constant C that is one row is the bias, scaled by beta; any other C is an Add.
    """
    alpha, beta = float(node.attributes.get("alpha", 1.0)), float(node.attributes.get("beta", 1.0))
    left, right = node.inputs[:2]
    if node.attributes.get("transA", 0):
        left = editor.add("Transpose", [left], like=node, attributes={"perm": (1, 0)})
    matrix = editor.constant(right)
    if matrix is None:
        if node.attributes.get("transB", 0):
            right = editor.add("Transpose", [right], like=node, attributes={"perm": (1, 0)})
        result = _scaled(editor, node, editor.add("MatMul", [left, right], like=node), alpha)
        columns = editor.shape(result)[-1]
    else:
        weight = matrix if node.attributes.get("transB", 0) else matrix.T
        columns = weight.shape[0]
        result = ""
    addend = node.inputs[2] if len(node.inputs) > 2 else ""
    bias = _row(editor.constant(addend), columns) if addend else None
    if matrix is not None:
        row = np.zeros(columns, np.float32) if bias is None else (bias * np.float32(beta)).astype(np.float32)
        result = add_gemm(editor, left, _times(weight, alpha), row, like=node, stem=right)
    elif bias is not None:
        name = editor.add_constant((bias * np.float32(beta)).astype(np.float32), addend)
        result = editor.add("Add", [result, name], like=node)
    if addend and bias is None:
        result = editor.add("Add", [result, _scaled(editor, node, addend, beta)], like=node)
    editor.substitute(node, result)


def add_gemm(editor: Editor, source: str, weight: Array, bias: Array, *, like: Node, stem: str) -> str:
    """Append a Gemm of `source` (..., K) with weight (O, K) and bias (O,); returns its result (..., O)."""
    inputs = [source, editor.add_constant(weight, stem), editor.add_constant(bias, f"{stem}.bias")]
    return editor.add("Gemm", inputs, like=like)


def matmuls_to_gemm(graph: Graph) -> Graph:
    """MatMul with a constant matrix on the right becomes Gemm; an Add of one row after it becomes the bias.

    Rules:
        1. MatMul(x, W) with W (K, O), leading axes of size 1 allowed, x of rank >= 2: Gemm with weight W transposed.
        2. MatMul(x, W) with x of rank 1, or W a batch of matrices, stays.
        3. Add(Gemm or MatMul-made Gemm, c) with constant c of O elements along the last axis: c joins the bias.
    """
    editor = Editor(graph)
    for node in editor.each("MatMul"):
        matrix = editor.constant(node.inputs[1])
        rank = len(editor.shape(node.inputs[0]))
        if matrix is None or matrix.ndim < 2 or rank < max(2, matrix.ndim) or any(s != 1 for s in matrix.shape[:-2]):
            continue
        weight: Array = matrix.reshape(matrix.shape[-2], matrix.shape[-1]).T
        bias = editor.add_constant(np.zeros(weight.shape[0], np.float32), f"{node.inputs[1]}.bias")
        inputs = [node.inputs[0], editor.add_constant(weight, node.inputs[1]), bias]
        editor.replace(node, op="Gemm", inputs=inputs, attributes={})
    for node in editor.each("Add"):
        _join_bias(editor, node)
    return editor.graph()


def _join_bias(editor: Editor, node: Node) -> None:
    for slot, name in enumerate(node.inputs):
        array = editor.constant(name)
        source = node.inputs[1 - slot]
        product = editor.sole_producer(source)
        if array is None or product is None or product.op != "Gemm" or product.clamp is not None:
            continue
        shape = editor.shape(source)
        row = _row(array, shape[-1]) if array.ndim <= len(shape) else None
        if row is None:
            continue
        old = editor.constants[product.inputs[2]]
        bias = editor.add_constant((old + row).astype(np.float32), product.inputs[2])
        editor.replace(product, inputs=[*product.inputs[:2], bias])
        editor.substitute(node, source)
        return


def _row(array: Array | None, columns: int) -> Array | None:
    """The array as a vector along the last axis, when it is constant along all others."""
    if array is None or (array.ndim > 0 and any(size != 1 for size in array.shape[:-1])):
        return None
    if array.size not in (1, columns):
        return None
    return np.broadcast_to(array.reshape(-1), (columns,)).astype(np.float32)


def _times(weight: Array, alpha: float) -> Array:
    return weight if alpha == 1.0 else (weight * np.float32(alpha)).astype(np.float32)


def _scaled(editor: Editor, node: Node, value: str, factor: float) -> str:
    if factor == 1.0:
        return value
    array = editor.constant(value)
    if array is not None:
        return editor.add_constant((array * np.float32(factor)).astype(np.float32), value)
    return editor.add(
        "Mul", [value, editor.add_constant(np.asarray(factor, np.float32), f"{node.name}/factor")], like=node
    )


TRANSLATIONS: Mapping[str, Translation] = {"Gemm": gemm}
"""ONNX operator -> its translation."""
