"""Reductions over axes, wherever those are stored: means, maxima, sums, ArgMax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.layout import stored_shape, without_axes
from edgekit.emit.tflite.lowering import Lowering
from edgekit.types.graph import Node


def reduction(code: str, *, keeps_scale: bool = False) -> Callable[[Lowering, Node], None]:
    """MEAN, REDUCE_MAX or SUM; `keeps_scale` when the int8 kernel writes its input's scale."""

    def emit(lowering: Lowering, node: Node) -> None:
        axes, keep = _axes(lowering, node)
        int8 = lowering.is_int8(node)
        stored = lowering.read(node.inputs[0], int8=int8)
        permutation = stored.permutation if keep else without_axes(stored.permutation, axes)
        options = schema.ReducerOptionsT()
        options.keepDims = keep
        result = lowering.apply(
            code,
            [stored.tensor, lowering.integers(sorted(stored.permutation.index(axis) for axis in axes))],
            shape=stored_shape(lowering.graph.shape(node.outputs[0]), permutation),
            qparams=None if keeps_scale else lowering.output_qparams(node, int8=int8),
            options=options,
        )
        lowering.publish(node.outputs[0], result, permutation, clamp=node.clamp)

    return emit


def _axes(lowering: Lowering, node: Node) -> tuple[tuple[int, ...], bool]:
    if node.op == "GlobalAveragePool":
        return tuple(range(2, len(lowering.graph.shape(node.inputs[0])))), True
    return tuple(node.attributes["axes"]), bool(node.attributes["keepdims"])


def arg_max(lowering: Lowering, node: Node) -> None:
    """ARG_MAX; the kept axis of size 1 is a reshape."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    axis = node.attributes["axis"]
    place = stored.permutation.index(axis)
    shape = lowering.shape_of(stored.tensor)
    dtype = lowering.graph.dtype(node.outputs[0])
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT64 if dtype == "int64" else schema.TensorType.INT32
    operands = [stored.tensor, lowering.array(np.array(place, np.int32))]
    reduced = (*shape[:place], *shape[place + 1 :])
    result = lowering.apply("ARG_MAX", operands, shape=reduced, dtype=dtype, options=options)
    if node.attributes["keepdims"]:
        result, permutation = lowering.reshape(result, (*shape[:place], 1, *shape[place + 1 :])), stored.permutation
    else:
        permutation = without_axes(stored.permutation, (axis,))
    lowering.publish(node.outputs[0], result, permutation)
