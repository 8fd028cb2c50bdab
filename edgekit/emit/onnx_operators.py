"""Dialect node -> ONNX nodes in float: the part that the float file and the QDQ files share.

Everything the dialect keeps as an attribute and ONNX wants as an input (axes, pads, shapes) is written as a
small initializer here. A Reshape or Expand whose result carries the batch gets -1 (or 1) at the batch axis, so the
file takes any batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgekit.emit.onnx_builder import ELEMENT_TYPES, OnnxBuilder
from edgekit.types.graph import Node

Names = Sequence[str]
Writer = Callable[[OnnxBuilder, Node, Names, Names], None]


def write_operator(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    """Append the ONNX form of `node` (its clamp not included) that reads `inputs` and writes `outputs`."""
    writer = WRITERS.get(node.op)
    if writer is None:
        builder.node(node.op, inputs, outputs, source=node, attributes=dict(node.attributes))
    else:
        writer(builder, node, inputs, outputs)


def write_clamp(builder: OnnxBuilder, node: Node, source: str, target: str, clamp: tuple[float, float]) -> None:
    """Append Relu or Clip from `source` to `target`."""
    low, high = clamp
    if low == 0 and math.isinf(high):
        builder.node("Relu", [source], [target], source=node)
        return
    low_name = "" if math.isinf(low) else builder.argument(np.array(low, np.float32))
    high_name = "" if math.isinf(high) else builder.argument(np.array(high, np.float32))
    builder.node("Clip", [source, low_name, high_name] if high_name else [source, low_name], [target], source=node)


def batched_shape(builder: OnnxBuilder, value: str, shape: Sequence[int]) -> str:
    """Name of an int64 shape argument, -1 at the axis of `value` that scales with the batch."""
    axis = builder.graph.batch_axes.get(value)
    return builder.ints([-1 if index == axis else size for index, size in enumerate(shape)])


def _clip(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    write_clamp(builder, node, inputs[0], outputs[0], (node.attributes["low"], node.attributes["high"]))


def _conv(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    kernel = builder.graph.shape(node.inputs[1])[2:]
    attributes = {name: value for name, value in node.attributes.items() if name != "output_padding" or any(value)}
    present = [name for name in inputs if name]
    builder.node(node.op, present, outputs, source=node, attributes={"kernel_shape": list(kernel), **attributes})


def stores_transposed(builder: OnnxBuilder, node: Node, slot: int) -> bool:
    """Whether `write_operator` wants this weight as (K, O): the float MatMul of a Linear of rank > 2."""
    return node.op == "Gemm" and slot == 1 and len(builder.graph.shape(node.inputs[0])) > 2


def _gemm(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    """Rank 2 is Gemm with the (O, K) weight; higher ranks MatMul and Add with it transposed."""
    if len(builder.graph.shape(node.inputs[0])) == 2:
        write_rows_gemm(builder, node, inputs, outputs)
        return
    has_bias = len(inputs) > 2 and inputs[2]
    product = builder.fresh(outputs[0]) if has_bias else outputs[0]
    builder.node("MatMul", inputs[:2], [product], source=node)
    if has_bias:
        builder.node("Add", [product, inputs[2]], outputs, source=node)


def write_rows_gemm(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    """Append Gemm over rows: input (N, K), weight (O, K)."""
    operands = [name for name in inputs if name]
    builder.node("Gemm", operands, outputs, source=node, attributes={"transB": 1})


def _layer_norm(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    builder.node(
        "LayerNormalization",
        [name for name in inputs if name],
        outputs,
        source=node,
        attributes={"axis": -1, "epsilon": node.attributes["epsilon"]},
    )


def _reduce(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    axes = builder.ints(node.attributes["axes"])
    builder.node(node.op, [inputs[0], axes], outputs, source=node, attributes={"keepdims": node.attributes["keepdims"]})


def _split(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    sizes = builder.ints(node.attributes["split"])
    builder.node("Split", [inputs[0], sizes], outputs, source=node, attributes={"axis": node.attributes["axis"]})


def _slice(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    attributes = node.attributes
    ends = [  # ONNX reads -1 as the last index, so "before the first" is written far below zero
        np.iinfo(np.int64).min + 1 if step < 0 and end < 0 else end
        for end, step in zip(attributes["ends"], attributes["steps"], strict=True)
    ]
    arguments = [
        builder.ints(values) for values in (attributes["starts"], ends, attributes["axes"], attributes["steps"])
    ]
    builder.node("Slice", [inputs[0], *arguments], outputs, source=node)


def _pad(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    arguments = [inputs[0], builder.ints(node.attributes["pads"])]
    if node.attributes["mode"] == "constant":
        arguments.append(builder.argument(np.array(node.attributes["value"], np.float32)))
    builder.node("Pad", arguments, outputs, source=node, attributes={"mode": node.attributes["mode"]})


def _reshape(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    shape = batched_shape(builder, node.outputs[0], node.attributes["shape"])
    builder.node("Reshape", [inputs[0], shape], outputs, source=node)


def _expand(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    shape = list(node.attributes["shape"])
    axis = builder.graph.batch_axes.get(node.outputs[0])
    if axis is not None:
        shape[axis] = 1  # Expand broadcasts both ways, so 1 keeps whatever batch the input has
    builder.node("Expand", [inputs[0], builder.ints(shape)], outputs, source=node)


def _resize(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    attributes: dict[str, Any] = {
        "mode": node.attributes["mode"],
        "coordinate_transformation_mode": node.attributes["coordinates"],
    }
    if node.attributes["mode"] == "nearest":
        attributes["nearest_mode"] = node.attributes["nearest_mode"]
    spatial = builder.graph.shape(node.inputs[0])[2:]
    sizes = node.attributes["sizes"]
    ratios = [target / size for target, size in zip(sizes, spatial, strict=True)]
    exact = all(np.float32(ratio) * size == target for ratio, size, target in zip(ratios, spatial, sizes, strict=True))
    if exact:  # scales keep the batch free
        scales = builder.argument(np.array([1, 1, *ratios], np.float32))
        builder.node("Resize", [inputs[0], "", scales], outputs, source=node, attributes=attributes)
    else:
        attributes["axes"] = list(range(2, 2 + len(sizes)))
        builder.node("Resize", [inputs[0], "", "", builder.ints(sizes)], outputs, source=node, attributes=attributes)


def _requantize(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    builder.node("Identity", inputs, outputs, source=node)


def _cast(builder: OnnxBuilder, node: Node, inputs: Names, outputs: Names) -> None:
    builder.node("Cast", inputs, outputs, source=node, attributes={"to": ELEMENT_TYPES[node.attributes["to"]]})


WRITERS: dict[str, Writer] = {
    "Conv": _conv,
    "ConvTranspose": _conv,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "Clip": _clip,
    "ReduceMean": _reduce,
    "ReduceMax": _reduce,
    "ReduceSum": _reduce,
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": _reshape,
    "Expand": _expand,
    "Resize": _resize,
    "Requantize": _requantize,
    "Cast": _cast,
}
"""Operators whose ONNX form differs from the dialect's; the others are written as they stand."""
