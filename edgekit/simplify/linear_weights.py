"""Changing a linear node in place: `y' = y * scale + shift` per output channel, or the same on its input."""

from __future__ import annotations

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Node
from edgekit.types.qparams import Array

LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm"})


def channel_axis(editor: Editor, node: Node) -> int:
    """Axis of the result that output channels run over: the last one for Gemm, 1 for convolutions."""
    return len(editor.shape(node.outputs[0])) - 1 if node.op == "Gemm" else 1


def along(array: Array, *, axis: int, shape: tuple[int, ...]) -> Array | None:
    """The array as a vector along `axis` of a value of `shape`; None when it varies along any other axis.

    Args:
        array: A constant that broadcasts against the value without growing it.
        axis: Axis of the value.
        shape: Shape of the value.

    Returns:
        float64 of shape (shape[axis],).
    """
    if array.ndim > len(shape):
        return None
    full = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if any(size != 1 for index, size in enumerate(full.shape) if index != axis) or full.shape[axis] not in (
        1,
        shape[axis],
    ):
        return None
    return np.broadcast_to(full.reshape(-1), (shape[axis],)).astype(np.float64)


def scale_outputs(editor: Editor, node: Node, scale: Array, shift: Array) -> Node:
    """Fold `y * scale + shift` into the weight and bias of a linear node without clamp.

    Args:
        editor: The open graph.
        node: Conv, ConvTranspose or Gemm.
        scale: Factor per output channel, float64 (C,).
        shift: Addend per output channel, float64 (C,).

    Returns:
        The changed node.
    """
    weight = editor.constants[node.inputs[1]]
    factors = _output_factors(node, weight, scale)
    bias = editor.constants[node.inputs[2]].astype(np.float64) * scale + shift
    name = node.inputs[1]
    if not (scale == 1.0).all():
        name = editor.add_constant((weight * factors).astype(np.float32), name)
    return editor.replace(node, inputs=[node.inputs[0], name, _store(editor, node, bias)])


def scale_inputs(editor: Editor, node: Node, scale: Array, shift: Array) -> Node | None:
    """Fold `x * scale + shift`, x being the input of a linear node, into its weight and bias.

    Args:
        editor: The open graph.
        node: Conv, ConvTranspose or Gemm.
        scale: Factor per input channel, float64 (C,).
        shift: Addend per input channel, float64 (C,); must be 0 where zero padding would need it.

    Returns:
        The changed node; None where it cannot be done exactly.
    """
    weight = editor.constants[node.inputs[1]].astype(np.float64)
    group = node.attributes.get("group", 1)
    if node.op == "ConvTranspose":
        if shift.any():
            return None
        changed = weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))
        added = np.zeros(weight.shape[1] * group)
    elif node.op == "Conv":
        if shift.any() and any(node.attributes["pads"]):
            return None
        outputs, inputs, *kernel = weight.shape
        groups = weight.reshape(group, outputs // group, inputs, -1)
        changed = (groups * scale.reshape(group, 1, inputs, 1)).reshape(outputs, inputs, *kernel)
        added = (groups.sum(-1) * shift.reshape(group, 1, inputs)).sum(-1).reshape(-1)
    else:
        changed = weight * scale
        added = weight @ shift
    name = node.inputs[1]
    if not (scale == 1.0).all():
        name = _replaced(editor, node, changed.astype(np.float32))
    bias = editor.constants[node.inputs[2]].astype(np.float64) + added
    return editor.replace(node, inputs=[node.inputs[0], name, _store(editor, node, bias)])


def _replaced(editor: Editor, node: Node, weight: Array) -> str:
    """Store a weight that gives the same results as before: under its name, which moments of a BatchNorm go by."""
    name = node.inputs[1]
    if editor.users(name) != [node]:
        return editor.add_constant(weight, name)
    editor.constants[name] = weight
    return name


def _output_factors(node: Node, weight: Array, scale: Array) -> Array:
    if node.op == "ConvTranspose":  # (C_in, C_out / group, *kernel), groups one after the other along C_in
        group = node.attributes["group"]
        per_group = np.repeat(scale.reshape(group, 1, -1), weight.shape[0] // group, axis=1)
        return np.asarray(per_group.reshape(weight.shape[0], -1, *(1 for _ in weight.shape[2:])), np.float64)
    return scale.reshape(-1, *(1 for _ in weight.shape[1:]))


def _store(editor: Editor, node: Node, bias: Array) -> str:
    return editor.add_constant(bias.astype(np.float32), node.inputs[2])
