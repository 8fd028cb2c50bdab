"""Concat with constants (a class token, coordinate channels) as Pad and Add, which take any batch."""

from __future__ import annotations

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array


def pad_for_constants(graph: Graph) -> Graph:
    """Make room for constants instead of joining them.

    Rules:
        1. Concat(c.., x.., c..) of float32 along any axis but the first, constants of size 1 on axis 0:
           Pad(Concat(x..)) + [c.., 0.., c..]. The Add is left out when every constant is 0.
        2. Add(Add(x, c), d) with constants c and d is Add(x, c + d), so that a class token and the position embedding
           after it are one.
    """
    editor = Editor(graph)
    for node in editor.each("Concat"):
        _pad(editor, node)
    for node in editor.each("Add"):
        _join_sums(editor, node)
    return editor.graph()


def _pad(editor: Editor, node: Node) -> None:
    axis = node.attributes["axis"]
    arrays = [editor.constant(name) for name in node.inputs]
    runtime = [index for index, array in enumerate(arrays) if array is None]
    shape = editor.shape(node.outputs[0])
    if len(runtime) == len(arrays) or not runtime or axis == 0 or shape[0] != 1:
        return
    if runtime != list(range(runtime[0], runtime[-1] + 1)) or editor.dtype(node.outputs[0]) != "float32":
        return
    source = node.inputs[runtime[0]]
    if len(runtime) > 1:
        names = [node.inputs[index] for index in runtime]
        source = editor.add("Concat", names, like=node, attributes={"axis": axis})
    filled = np.concatenate([_or_zero(editor, node, index, array) for index, array in enumerate(arrays)], axis)
    begin = sum(editor.shape(name)[axis] for name in node.inputs[: runtime[0]])
    end = sum(editor.shape(name)[axis] for name in node.inputs[runtime[-1] + 1 :])
    pads = [0] * (2 * len(shape))
    pads[axis], pads[len(shape) + axis] = begin, end
    attributes = {"pads": tuple(pads), "mode": "constant", "value": 0.0}
    result = editor.add("Pad", [source], like=node, attributes=attributes)
    if filled.any():
        result = editor.add("Add", [result, editor.add_constant(filled, f"{node.name}/constants")], like=node)
    editor.substitute(node, result)


def _or_zero(editor: Editor, node: Node, index: int, array: Array | None) -> Array:
    return np.zeros(editor.shape(node.inputs[index]), np.float32) if array is None else array


def _join_sums(editor: Editor, node: Node) -> None:
    constants = [(slot, editor.constant(name)) for slot, name in enumerate(node.inputs)]
    fixed = [(slot, array) for slot, array in constants if array is not None]
    if len(fixed) != 1 or fixed[0][1].dtype != np.float32:
        return
    slot, outer = fixed[0]
    previous = editor.sole_producer(node.inputs[1 - slot])
    if previous is None or previous.op != "Add" or previous.clamp is not None:
        return
    inner = [index for index, name in enumerate(previous.inputs) if editor.constant(name) is not None]
    if len(inner) != 1:
        return
    total = editor.constants[previous.inputs[inner[0]]] + outer
    name = editor.add_constant(np.asarray(total, np.float32), previous.inputs[inner[0]])
    source = previous.inputs[1 - inner[0]]
    if np.broadcast_shapes(editor.shape(source), total.shape) == editor.shape(node.outputs[0]):
        editor.replace(node, inputs=[source, name])
