"""LayerNormalization, InstanceNormalization, GroupNormalization and RMSNormalization over the last axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, axis_of, opset
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def layer_normalization(editor: Editor, node: Node) -> None:
    """LayerNormalization over the axes from `axis` on.

    Rules:
        1. Several normalized axes are laid out as one by a Reshape before and after.
        2. A scale or bias computed at run time is a Mul or Add after a plain normalization.
    """
    rank = len(editor.shape(node.inputs[0]))
    axes = tuple(range(axis_of(node, rank=rank, default=-1), rank))
    scale = node.inputs[1] if len(node.inputs) > 1 else ""
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    size = int(np.prod([editor.shape(node.inputs[0])[axis] for axis in axes]))
    fixed_scale, fixed_bias = editor.constant(scale), editor.constant(bias)
    late_bias = bool(bias and fixed_bias is None) or bool(scale and fixed_scale is None)
    result = add_layer_norm(
        editor,
        node.inputs[0],
        axes,
        epsilon=float(node.attributes.get("epsilon", 1e-5)),
        scale=_spread(fixed_scale, size, 1.0),
        bias=_spread(None if late_bias else fixed_bias, size, 0.0),
        like=node,
    )
    if scale and fixed_scale is None:
        result = editor.add("Mul", [result, scale], like=node)
    if bias and late_bias:
        result = editor.add("Add", [result, bias], like=node)
    editor.substitute(node, result)


def add_layer_norm(
    editor: Editor, source: str, axes: Sequence[int], *, epsilon: float, scale: Array, bias: Array, like: Node
) -> str:
    """Append a normalization of `source` over `axes`, with what it takes to bring them to the end as one.

    Args:
        editor: The open graph.
        source: Value of any rank.
        axes: Normalized axes, increasing.
        epsilon: Added to the variance.
        scale: float32, one per element of the normalized axes.
        bias: float32, the same shape.
        like: The node it comes from.

    Returns:
        A value of the shape of `source`.
    """
    shape = editor.shape(source)
    rest = tuple(axis for axis in range(len(shape)) if axis not in axes)
    perm = (*rest, *axes)
    turned = source
    if perm != tuple(range(len(shape))):
        turned = editor.add("Transpose", [source], like=like, attributes={"perm": perm})
    inner = editor.shape(turned)
    flat = (*inner[: len(rest)], int(np.prod(inner[len(rest) :])))
    laid = turned if flat == inner else editor.add("Reshape", [turned], like=like, attributes={"shape": flat})
    inputs = [laid, editor.add_constant(scale, f"{like.name}/scale"), editor.add_constant(bias, f"{like.name}/bias")]
    result = editor.add("LayerNormalization", inputs, like=like, attributes={"epsilon": epsilon})
    if flat != inner:
        result = editor.add("Reshape", [result], like=like, attributes={"shape": inner})
    if turned != source:
        back = tuple(perm.index(axis) for axis in range(len(shape)))
        result = editor.add("Transpose", [result], like=like, attributes={"perm": back})
    return result


def instance_normalization(editor: Editor, node: Node) -> None:
    """InstanceNormalization: each channel over its map, then scale and bias per channel."""
    shape = editor.shape(node.inputs[0])
    _grouped(editor, node, groups=shape[1], per_group=False)


def group_normalization(editor: Editor, node: Node) -> None:
    """GroupNormalization: scale and bias per group before opset 21, per channel since."""
    _grouped(editor, node, groups=int(node.attributes["num_groups"]), per_group=opset(node) < 21)


def _grouped(editor: Editor, node: Node, *, groups: int, per_group: bool) -> None:
    """Reshape to (N, groups, rest), normalize the rest, reshape back, scale and shift per channel."""
    source, scale, bias = node.inputs
    shape = editor.shape(source)
    size = int(np.prod(shape[1:])) // groups
    laid = editor.add("Reshape", [source], like=node, attributes={"shape": (shape[0], groups, size)})
    normalized = add_layer_norm(
        editor,
        laid,
        (2,),
        epsilon=float(node.attributes.get("epsilon", 1e-5)),
        scale=np.ones(size, np.float32),
        bias=np.zeros(size, np.float32),
        like=node,
    )
    result = editor.add("Reshape", [normalized], like=node, attributes={"shape": shape})
    spread = (1, shape[1], *(1 for _ in shape[2:]))
    for op, name, neutral in (("Mul", scale, 1.0), ("Add", bias, 0.0)):
        array = editor.constant(name)
        if array is not None and (array == neutral).all():
            continue
        if array is not None:
            wide = np.repeat(array.reshape(-1), shape[1] // groups) if per_group else array.reshape(-1)
            operand = editor.add_constant(wide.reshape(spread).astype(np.float32), name)
        else:
            operand = editor.add("Reshape", [name], like=node, attributes={"shape": spread})
        result = editor.add(op, [result, operand], like=node)
    editor.substitute(node, result)


def rms_normalization(editor: Editor, node: Node) -> None:
    """`x / sqrt(mean(x^2) + epsilon) * scale` (Zhang & Sennrich 2019) in primitives."""
    source = node.inputs[0]
    rank = len(editor.shape(source))
    axes = tuple(range(axis_of(node, rank=rank, default=-1), rank))
    square = editor.add("Mul", [source, source], like=node)
    mean = editor.add("ReduceMean", [square], like=node, attributes={"axes": axes, "keepdims": 1})
    epsilon = np.asarray(node.attributes.get("epsilon", 1e-5), np.float32)
    shifted = editor.add("Add", [mean, editor.add_constant(epsilon, f"{node.name}/epsilon")], like=node)
    inverse = editor.add("Reciprocal", [editor.add("Sqrt", [shifted], like=node)], like=node)
    result = editor.add("Mul", [source, inverse], like=node)
    editor.substitute(node, editor.add("Mul", [result, node.inputs[1]], like=node))


def _spread(array: Array | None, size: int, default: float) -> Array:
    if array is None:
        return np.full(size, default, np.float32)
    return np.broadcast_to(array.reshape(-1), (size,)).astype(np.float32)


TRANSLATIONS: Mapping[str, Translation] = {
    "LayerNormalization": layer_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "RMSNormalization": rms_normalization,
    "SimplifiedLayerNormalization": rms_normalization,
}
"""ONNX operator -> its translation."""
