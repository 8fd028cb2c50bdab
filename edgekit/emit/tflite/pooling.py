"""MaxPool and AveragePool."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.linear import map_shape, two_axes
from edgekit.emit.tflite.lowering import Lowering
from edgekit.emit.tflite.movement import sliced
from edgekit.emit.tflite.padding import conv_padding, padded
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def max_pool(lowering: Lowering, node: Node) -> None:
    """MAX_POOL_2D; pads that are neither SAME nor VALID are filled with the smallest number."""
    int8 = lowering.is_int8(node)
    source = lowering.read_map(node.inputs[0], int8=int8)
    window, strides, shape, padding, pads = _geometry(lowering, node, source)
    source = padded(lowering, source, pads, value=-np.inf)
    activation, rest = lowering.fused(node, int8=int8)
    options = _options(window, strides, padding, activation)
    result = lowering.apply("MAX_POOL_2D", [source], shape=shape, options=options)
    lowering.publish_map(node.outputs[0], result, clamp=rest)


def average_pool(lowering: Lowering, node: Node) -> None:
    """AVERAGE_POOL_2D, whose SAME padding divides by the numbers it really saw.

    - no pads, or pads that count: explicit PAD of zeros and VALID;
    - pads that do not count and are SAME: as they are;
    - a centred odd window: SAME at stride 1 and every s-th result, exact in integers;
    - otherwise in float: VALID over zeros, times window / count.
    """
    int8 = lowering.is_int8(node)
    source = lowering.read_map(node.inputs[0], int8=int8)
    window, strides, shape, padding, pads = _geometry(lowering, node, source)
    counts = bool(node.attributes["count_include_pad"])
    unpadded = not any(two_axes(node)[2])
    activation, rest = lowering.fused(node, int8=int8)
    if unpadded or counts:
        if padding == schema.Padding.SAME and not unpadded:
            padding, pads = schema.Padding.VALID, _needed(lowering, node, source)
        source = padded(lowering, source, pads)
        options = _options(window, strides, padding, activation)
        result = lowering.apply("AVERAGE_POOL_2D", [source], shape=shape, options=options)
    elif padding == schema.Padding.SAME:
        options = _options(window, strides, padding, activation)
        result = lowering.apply("AVERAGE_POOL_2D", [source], shape=shape, options=options)
    elif two_axes(node)[2] == [size // 2 for size in window] * 2 and all(size % 2 for size in window):
        options = _options(window, [1, 1], schema.Padding.SAME, activation)
        dense = lowering.apply("AVERAGE_POOL_2D", [source], shape=lowering.shape_of(source), options=options)
        ends = [(size - 1) * step + 1 for size, step in zip(shape[1:3], strides, strict=True)]
        result = sliced(lowering, dense, [0] * 4, [shape[0], *ends, shape[3]], steps=[1, *strides, 1])
    else:
        rest = node.clamp
        result = _counted_in_float(lowering, node, lowering.read_map(node.inputs[0], int8=False), pads)
    lowering.publish_map(node.outputs[0], result, clamp=rest)


def _counted_in_float(lowering: Lowering, node: Node, source: int, pads: list[tuple[int, int]]) -> int:
    window, strides, shape, _, _ = _geometry(lowering, node, source)
    size = lowering.shape_of(source)[1:3]
    options = _options(window, strides, schema.Padding.VALID, schema.ActivationFunctionType.NONE)
    summed = lowering.apply("AVERAGE_POOL_2D", [padded(lowering, source, pads)], shape=shape, options=options)
    seen = [_seen(size[a], shape[1 + a], window=window[a], stride=strides[a], begin=pads[a][0]) for a in (0, 1)]
    factor = np.prod(window) / np.outer(seen[0], seen[1])
    operand = lowering.array(factor.astype(np.float32)[None, :, :, None])
    return lowering.apply("MUL", [summed, operand], shape=shape, options=schema.MulOptionsT())


def _seen(size: int, result: int, *, window: int, stride: int, begin: int) -> Array:
    """How many real rows each window covers along an axis."""
    starts = np.arange(result) * stride - begin
    return np.minimum(starts + window, size) - np.maximum(starts, 0)


def _needed(lowering: Lowering, node: Node, source: int) -> list[tuple[int, int]]:
    window, strides, shape, _, _ = _geometry(lowering, node, source)
    size, pads = lowering.shape_of(source)[1:3], two_axes(node)[2]
    return [
        (pads[axis], max((shape[1 + axis] - 1) * strides[axis] + window[axis] - size[axis] - pads[axis], 0))
        for axis in (0, 1)
    ]


def _geometry(
    lowering: Lowering, node: Node, source: int
) -> tuple[list[int], list[int], tuple[int, int, int, int], int, list[tuple[int, int]]]:
    window = list(node.attributes["kernel_shape"])
    window = [1, *window] if len(window) == 1 else window
    strides, _, pads = two_axes(node)
    shape = map_shape(lowering.graph.shape(node.outputs[0]))
    size = lowering.shape_of(source)[1:3]
    padding, explicit = conv_padding(size, shape[1:3], window=window, strides=strides, pads=pads)
    return window, strides, shape, padding, explicit


def _options(window: list[int], strides: list[int], padding: int, activation: int) -> schema.Pool2DOptionsT:
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = window
    options.strideH, options.strideW = strides
    options.padding, options.fusedActivationFunction = padding, activation
    return options
