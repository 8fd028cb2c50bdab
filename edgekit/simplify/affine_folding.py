"""Folds Mul and Add by constants into the linear layer before or after them."""

from __future__ import annotations

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.linear_weights import LINEAR, along, channel_axis, scale_inputs, scale_outputs
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

MOVES = frozenset({"Reshape", "Transpose", "Slice", "Expand"})
"""Operators that a multiplication by one scalar passes through unchanged."""


def fold_affine(graph: Graph) -> Graph:
    """Fold constant factors and addends into weights and biases.

    Rules:
        1. Mul(linear, c) and Add(linear, c), c per output channel or scalar, nobody else reading the linear node and
           no clamp on it: folded into that node.
        2. Mul(moves(linear), s) with scalar s (attention's 1/sqrt(d)): folded through Reshape, Transpose, Slice and
           Expand that nobody else reads; with positive s through Clip too, whose bounds are multiplied.
        3. linear(Mul(x, c)), c per input channel, nobody else reading the product: folded into the weight.
        4. linear(Add(x, c)): folded into the bias when no zero padding comes between.
        5. Consecutive scalar multiplications are one; so are those of both operands of a MatMul.
    """
    editor = Editor(graph)
    for node in editor.each("Mul", "Add"):
        slot = _constant_slot(editor, node)
        if slot is None:
            continue
        constant, source = editor.constants[node.inputs[slot]], node.inputs[1 - slot]
        if node.clamp is not None or editor.shape(source) != editor.shape(node.outputs[0]):
            continue
        if not (_into_producer(editor, node, constant, source) or _into_factor(editor, node, constant, source)):
            _into_user(editor, node, constant, source)
    for node in editor.each("MatMul"):
        _one_factor(editor, node)
    return editor.graph()


def _constant_slot(editor: Editor, node: Node) -> int | None:
    fixed = [slot for slot, name in enumerate(node.inputs) if editor.constant(name) is not None]
    return fixed[0] if len(fixed) == 1 and editor.dtype(node.outputs[0]) == "float32" else None


def _into_producer(editor: Editor, node: Node, constant: Array, source: str) -> bool:
    producer, clips = editor.sole_producer(source), []
    if node.op == "Mul" and constant.size == 1:
        passed = MOVES | {"Clip"} if constant.item() > 0 else MOVES
        while producer is not None and producer.op in passed:
            clips += [producer] if producer.op == "Clip" else []
            producer = editor.sole_producer(producer.inputs[0])
    if producer is None or producer.op not in LINEAR or producer.clamp is not None:
        return False
    shape = editor.shape(producer.outputs[0])
    array = constant.reshape(()) if constant.size == 1 else constant
    vector = along(array, axis=channel_axis(editor, producer), shape=shape)
    if vector is None:
        return False
    neutral = np.zeros_like(vector) if node.op == "Mul" else np.ones_like(vector)
    scale_outputs(editor, producer, *((vector, neutral) if node.op == "Mul" else (neutral, vector)))
    for clip in clips:
        bounds = {end: float(np.float32(clip.attributes[end] * constant.item())) for end in ("low", "high")}
        editor.replace(clip, attributes=bounds)
    editor.substitute(node, source)
    return True


def _into_factor(editor: Editor, node: Node, constant: Array, source: str) -> bool:
    """Two scalar factors in a row, rule 5."""
    producer = editor.sole_producer(source)
    if node.op != "Mul" or constant.size != 1 or producer is None or producer.op != "Mul" or producer.clamp is not None:
        return False
    slot = _constant_slot(editor, producer)
    if slot is None or editor.constants[producer.inputs[slot]].size != 1:
        return False
    product = (editor.constants[producer.inputs[slot]].reshape(()) * constant.reshape(())).astype(np.float32)
    inputs = list(producer.inputs)
    inputs[slot] = editor.add_constant(np.asarray(product), producer.inputs[slot])
    editor.replace(producer, inputs=inputs)
    editor.substitute(node, source)
    return True


def _one_factor(editor: Editor, node: Node) -> None:
    """Two scalar factors on the operands of a MatMul, rule 5: the second joins the first."""
    factors = []
    for name in node.inputs:
        producer = editor.sole_producer(name)
        slot = _constant_slot(editor, producer) if producer is not None and producer.op == "Mul" else None
        if producer is None or slot is None or producer.clamp or editor.constants[producer.inputs[slot]].size != 1:
            return
        factors.append((producer, slot, float(editor.constants[producer.inputs[slot]].reshape(()))))
    (first, slot, one), (second, other_slot, two) = factors
    inputs = list(first.inputs)
    inputs[slot] = editor.add_constant(np.asarray(one * two, np.float32), first.inputs[slot])
    editor.replace(first, inputs=inputs)
    editor.substitute(second, second.inputs[1 - other_slot])


def _into_user(editor: Editor, node: Node, constant: Array, source: str) -> bool:
    user = editor.sole_user(node.outputs[0])
    if user is None or user.op not in LINEAR or user.inputs[0] != node.outputs[0]:
        return False
    shape = editor.shape(source)
    vector = along(constant, axis=len(shape) - 1 if user.op == "Gemm" else 1, shape=shape)
    if vector is None:
        return False
    neutral = np.zeros_like(vector) if node.op == "Mul" else np.ones_like(vector)
    pair = (vector, neutral) if node.op == "Mul" else (neutral, vector)
    if scale_inputs(editor, user, *pair) is None:
        return False
    editor.substitute(node, source)
    return True
