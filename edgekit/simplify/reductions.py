"""Translates ONNX reductions, softmaxes and arg-extrema; axes become attributes whatever the opset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.static_arguments import Translation, axis_of, ints, opset, positive, refusal
from edgekit.types.graph import Node

DIRECT = ("ReduceMean", "ReduceMax", "ReduceSum")


def reduction(editor: Editor, node: Node) -> None:
    """Every Reduce operator in terms of ReduceMean, ReduceMax and ReduceSum."""
    rank = len(editor.shape(node.inputs[0]))
    axes = ints(editor, node, slot=1, name="axes")
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            editor.substitute(node, node.inputs[0])
            return
        axes = tuple(range(rank))
    sorted_axes = tuple(sorted(positive(axes, rank)))
    attributes = {"axes": sorted_axes, "keepdims": int(node.attributes.get("keepdims", 1))}
    source = node.inputs[0]

    def reduced(op: str, value: str) -> str:
        return editor.add(op, [value], like=node, attributes=attributes)

    def squared() -> str:
        return editor.add("Mul", [source, source], like=node)

    match node.op:
        case "ReduceMean" | "ReduceMax" | "ReduceSum":
            editor.replace(node, inputs=[source], attributes=attributes)
        case "ReduceMin":
            flipped = reduced("ReduceMax", negative(editor, node, source))
            editor.substitute(node, negative(editor, node, flipped))
        case "ReduceL1":
            editor.substitute(node, reduced("ReduceSum", editor.add("Abs", [source], like=node)))
        case "ReduceL2":
            editor.substitute(node, editor.add("Sqrt", [reduced("ReduceSum", squared())], like=node))
        case "ReduceSumSquare":
            editor.substitute(node, reduced("ReduceSum", squared()))
        case "ReduceLogSum":
            editor.substitute(node, editor.add("Log", [reduced("ReduceSum", source)], like=node))
        case "ReduceLogSumExp":
            _log_sum_exp(editor, node, source, sorted_axes)
        case _:
            raise refusal(node, "neither runtime has an int8 or float form of it in the dialect")


def _log_sum_exp(editor: Editor, node: Node, source: str, axes: tuple[int, ...]) -> None:
    """`m + log(sum(exp(x - m)))` with m the maximum, which cannot overflow."""
    kept = {"axes": axes, "keepdims": 1}
    largest = editor.add("ReduceMax", [source], like=node, attributes=kept)
    powers = editor.add("Exp", [editor.add("Sub", [source, largest], like=node)], like=node)
    summed = editor.add("ReduceSum", [powers], like=node, attributes=kept)
    result = editor.add("Add", [editor.add("Log", [summed], like=node), largest], like=node)
    if editor.shape(result) != editor.shape(node.outputs[0]):
        result = editor.add("Reshape", [result], like=node, attributes={"shape": editor.shape(node.outputs[0])})
    editor.substitute(node, result)


def negative(editor: Editor, node: Node, value: str) -> str:
    """Append `value * -1`."""
    factor = editor.add_constant(np.asarray(-1.0, np.float32), f"{node.name}/minus_one")
    return editor.add("Mul", [value, factor], like=node)


def softmax(editor: Editor, node: Node) -> None:
    """Softmax over one axis; before opset 13 over all axes from `axis` on, laid out as one."""
    source = node.inputs[0]
    shape = editor.shape(source)
    old = opset(node) < 13
    axis = axis_of(node, rank=len(shape), default=1 if old else -1)
    flat = (*shape[:axis], int(np.prod(shape[axis:])))
    if old and flat != shape and any(size != 1 for size in shape[axis + 1 :]):
        source = editor.add("Reshape", [source], like=node, attributes={"shape": flat})
    if node.op == "LogSoftmax":
        result = _log_softmax(editor, node, source, axis)
    else:
        result = editor.add("Softmax", [source], like=node, attributes={"axis": axis})
    if editor.shape(result) != shape:
        result = editor.add("Reshape", [result], like=node, attributes={"shape": shape})
    editor.substitute(node, result)


def _log_softmax(editor: Editor, node: Node, source: str, axis: int) -> str:
    """`s - log(sum(exp(s)))` with `s = x - max(x)`."""
    kept = {"axes": (axis,), "keepdims": 1}
    largest = editor.add("ReduceMax", [source], like=node, attributes=kept)
    shifted = editor.add("Sub", [source, largest], like=node)
    summed = editor.add("ReduceSum", [editor.add("Exp", [shifted], like=node)], like=node, attributes=kept)
    return editor.add("Sub", [shifted, editor.add("Log", [summed], like=node)], like=node)


def arg_extremum(editor: Editor, node: Node) -> None:
    """ArgMax, first position on ties; ArgMin is the ArgMax of `-x`."""
    if node.attributes.get("select_last_index", 0):
        raise refusal(node, "it asks for the last position on ties")
    axis = axis_of(node, rank=len(editor.shape(node.inputs[0])), default=0)
    source = negative(editor, node, node.inputs[0]) if node.op == "ArgMin" else node.inputs[0]
    attributes = {"axis": axis, "keepdims": int(node.attributes.get("keepdims", 1))}
    editor.replace(node, op="ArgMax", inputs=[source], attributes=attributes)


TRANSLATIONS: Mapping[str, Translation] = {
    **dict.fromkeys(
        (*DIRECT, "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), reduction
    ),
    "Softmax": softmax,
    "LogSoftmax": softmax,
    "ArgMax": arg_extremum,
    "ArgMin": arg_extremum,
}
"""ONNX operator -> its translation."""
