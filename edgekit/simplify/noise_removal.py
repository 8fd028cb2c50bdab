"""Removes nodes that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array


def remove_noise(graph: Graph) -> Graph:
    """Remove what computes the identity, and give what is only a reshape that name.

    Rules:
        1. Reshape, Expand to the same shape; Transpose in order; Pad by nothing; Resize to the same size; Cast to the
           same type; Concat and Split of one; Clip without bounds; pools with a 1x1 window and stride 1.
        2. Mul by 1 and Add of 0 that do not broadcast the other operand.
        3. Reductions over axes of size 1 (mean, max, sum) are Reshapes.
        4. Reshape and Transpose of a constant are a constant.
        5. Expand read only by broadcasting arithmetic that gives the same shape without it.
    """
    editor = Editor(graph)
    for node in editor.each():
        array = editor.constant(node.inputs[0]) if node.inputs else None
        if array is not None and node.op in ("Reshape", "Transpose"):
            moved = array.reshape(node.attributes["shape"]) if node.op == "Reshape" else _turned(array, node)
            editor.substitute(node, editor.add_constant(moved, node.inputs[0]))
        elif node.clamp is None and node.op in _IS_IDENTITY and _IS_IDENTITY[node.op](editor, node):
            editor.substitute(node, node.inputs[0])
        elif node.op in ("Mul", "Add"):
            _neutral(editor, node)
        elif node.op in ("ReduceMean", "ReduceMax", "ReduceSum") and node.clamp is None:
            shape = editor.shape(node.inputs[0])
            if all(shape[axis] == 1 for axis in node.attributes["axes"]):
                editor.replace(node, op="Reshape", attributes={"shape": editor.shape(node.outputs[0])})
        elif node.op == "Expand":
            _spread(editor, node)
    return editor.graph()


def _turned(array: Array, node: Node) -> Array:
    return array.transpose(node.attributes["perm"])


def _same_shape(editor: Editor, node: Node) -> bool:
    return editor.shape(node.inputs[0]) == editor.shape(node.outputs[0])


def _in_order(editor: Editor, node: Node) -> bool:
    perm: tuple[int, ...] = node.attributes["perm"]
    return perm == tuple(range(len(perm)))


def _single(editor: Editor, node: Node) -> bool:
    return len(node.inputs) == 1 and len(node.outputs) == 1


def _same_type(editor: Editor, node: Node) -> bool:
    return editor.dtype(node.inputs[0]) == str(node.attributes["to"])


def _unbounded(editor: Editor, node: Node) -> bool:
    return bool(np.isneginf(node.attributes["low"]) and np.isposinf(node.attributes["high"]))


def _one_pixel(editor: Editor, node: Node) -> bool:
    window = (*node.attributes["kernel_shape"], *node.attributes["strides"])
    return all(size == 1 for size in window) and not any(node.attributes["pads"])


_IS_IDENTITY: Mapping[str, Callable[[Editor, Node], bool]] = {
    "Reshape": _same_shape,
    "Expand": _same_shape,
    "Pad": _same_shape,
    "Resize": _same_shape,
    "Transpose": _in_order,
    "Cast": _same_type,
    "Concat": _single,
    "Split": _single,
    "Clip": _unbounded,
    "MaxPool": _one_pixel,
    "AveragePool": _one_pixel,
}


def _neutral(editor: Editor, node: Node) -> None:
    neutral = 1.0 if node.op == "Mul" else 0.0
    for slot, name in enumerate(node.inputs):
        array, other = editor.constant(name), node.inputs[1 - slot]
        if array is None or editor.constant(other) is not None or node.clamp is not None:
            continue
        if editor.shape(other) == editor.shape(node.outputs[0]) and (array == neutral).all():
            editor.substitute(node, other)
            return


def _spread(editor: Editor, node: Node) -> None:
    shape, wide = editor.shape(node.inputs[0]), node.outputs[0]
    for user in editor.users(wide):
        if user.op not in ("Add", "Sub", "Mul", "Div") or user.inputs[0] == user.inputs[1]:
            continue
        other = user.inputs[1 - user.inputs.index(wide)]
        if np.broadcast_shapes(shape, editor.shape(other)) == editor.shape(user.outputs[0]):
            editor.replace(user, inputs=[node.inputs[0] if name == wide else name for name in user.inputs])
