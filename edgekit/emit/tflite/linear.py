"""Conv, Gemm and MatMul: y = x w + b."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.layout import identity, order
from edgekit.emit.tflite.lowering import Lowering, Stored, permuted_axis
from edgekit.emit.tflite.padding import conv_padding, padded
from edgekit.types.graph import Node
from edgekit.types.qparams import Array, QParams


def conv(lowering: Lowering, node: Node) -> None:
    """CONV_2D or DEPTHWISE_CONV_2D over channels-last maps, explicit PAD where SAME and VALID do not fit."""
    int8 = lowering.is_int8(node)
    if _is_dense_of_int4(lowering, node):
        _dense_over_map(lowering, node)
        return
    source = lowering.read_map(node.inputs[0], int8=int8)
    weight, qparams = conv_weight(lowering, node, int8=int8)
    channels, filters, group = lowering.shape_of(source)[3], weight.shape[0], node.attributes["group"]
    strides, dilations, pads = two_axes(node)
    window = [(size - 1) * step + 1 for size, step in zip(weight.shape[1:3], dilations, strict=True)]
    shape = map_shape(lowering.graph.shape(node.outputs[0]))
    padding, explicit = conv_padding(
        lowering.shape_of(source)[1:3], shape[1:3], window=window, strides=strides, pads=pads
    )
    source = padded(lowering, source, explicit)
    bias = bias_tensor(lowering, node, filters, int8=int8)
    depthwise = group == channels and group > 1
    if depthwise:
        weight = weight.transpose(3, 1, 2, 0)
    qparams = per_channel(qparams, filters, axis=3 if depthwise else 0)
    activation, rest = lowering.fused(node, int8=int8)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = padding, activation
    options.strideH, options.strideW = strides
    options.dilationHFactor, options.dilationWFactor = dilations
    if depthwise:
        options.depthMultiplier = filters // channels
    result = lowering.apply(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [source, lowering.array(weight, qparams=qparams, name=node.inputs[1], int8=int8), bias],
        shape=shape,
        qparams=lowering.output_qparams(node, int8=int8),
        options=options,
    )
    lowering.publish_map(node.outputs[0], result, clamp=rest)


def _is_dense_of_int4(lowering: Lowering, node: Node) -> bool:
    """A pointwise convolution of int4 weights.

    XNNPACK takes no CONV_2D whose weight is computed, and so leaves those behind the DEQUANTIZE of an int4 constant to
    kernels that are several times slower; a FULLY_CONNECTED of the same numbers it takes.
    """
    qparams = lowering.quantized.qparams.get(node.inputs[1])
    attributes = node.attributes
    plain = max(attributes["strides"]) == 1 and max(attributes["pads"]) == 0 and attributes["group"] == 1
    pointwise = max(lowering.graph.shape(node.inputs[1])[2:]) == 1
    return qparams is not None and qparams.dtype == "int4" and plain and pointwise


def _dense_over_map(lowering: Lowering, node: Node) -> None:
    source = lowering.read_map(node.inputs[0], int8=False)
    weight, qparams = conv_weight(lowering, node, int8=False)
    filters, depth = weight.shape[0], weight.shape[3]
    if qparams is not None and qparams.block:
        scale, zero_point = (array.reshape(filters, -1) for array in (qparams.scale, qparams.zero_point))
        qparams = QParams(scale, zero_point, qparams.dtype, 1, qparams.block)
    bias = bias_tensor(lowering, node, filters, int8=False)
    activation, rest = lowering.fused(node, int8=False)
    flat = (weight.reshape(filters, depth), qparams)
    result = _rows_by_dense(lowering, node, (source, bias), weight=flat, activation=activation)
    lowering.publish_map(node.outputs[0], result, clamp=rest)


def gemm(lowering: Lowering, node: Node) -> None:
    """FULLY_CONNECTED in float, CONV_2D 1x1 in int8.

    tflite-runtime 2.14 reads only the first scale of a FULLY_CONNECTED weight (its per-channel int8 kernel came later),
    while every version has per-channel CONV_2D. XNNPACK runs both as the same matrix product.
    """
    int8 = lowering.is_int8(node)
    stored = _features_last(lowering, node, int8=int8)
    weight, qparams = lowering.contents(node.inputs[1], int8=int8)
    if stored.features is not None:
        weight = weight[:, stored.features]
    bias = bias_tensor(lowering, node, weight.shape[0], int8=int8)
    activation, rest = lowering.fused(node, int8=int8)
    shape = (*lowering.shape_of(stored.tensor)[:-1], weight.shape[0])
    write = _rows_by_conv if int8 else _rows_by_dense
    result = write(lowering, node, (stored.tensor, bias), weight=(weight, qparams), activation=activation)
    lowering.publish(node.outputs[0], lowering.reshape(result, shape), stored.permutation, clamp=rest)


def _rows_by_conv(
    lowering: Lowering,
    node: Node,
    operands: tuple[int, int],
    *,
    weight: tuple[Array, QParams | None],
    activation: int,
) -> int:
    filters, depth = weight[0].shape
    rows = int(np.prod(lowering.shape_of(operands[0])[:-1]))
    options = schema.Conv2DOptionsT()
    options.padding, options.fusedActivationFunction = schema.Padding.VALID, activation
    options.strideH = options.strideW = 1
    kernel = weight[0].reshape(filters, 1, 1, depth)
    constant = lowering.array(kernel, qparams=per_channel(weight[1], filters, axis=0), name=node.inputs[1])
    return lowering.apply(
        "CONV_2D",
        [lowering.reshape(operands[0], (1, 1, rows, depth)), constant, operands[1]],
        shape=(1, 1, rows, filters),
        qparams=lowering.output_qparams(node, int8=True),
        options=options,
    )


def _rows_by_dense(
    lowering: Lowering,
    node: Node,
    operands: tuple[int, int],
    *,
    weight: tuple[Array, QParams | None],
    activation: int,
) -> int:
    leading = lowering.shape_of(operands[0])[:-1]
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims, options.fusedActivationFunction = len(leading) != 1, activation
    constant = lowering.array(weight[0], qparams=weight[1], name=node.inputs[1], int8=False)
    return lowering.apply(
        "FULLY_CONNECTED",
        [operands[0], constant, operands[1]],
        shape=(*leading, weight[0].shape[0]),
        options=options,
    )


def _features_last(lowering: Lowering, node: Node, *, int8: bool) -> Stored:
    """The input of a Gemm with its last axis stored last; the leading axes may be in any order."""
    stored = lowering.read(node.inputs[0], int8=int8)
    last = len(stored.permutation) - 1
    if stored.permutation[-1] == last:
        return stored
    permutation = (*(axis for axis in stored.permutation if axis != last), last)
    shape = lowering.graph.shape(node.inputs[0])
    return Stored(lowering.permuted(stored, permutation, shape=shape), permutation)


def matmul(lowering: Lowering, node: Node) -> None:
    """BATCH_MATMUL; an operand stored with its last two axes swapped is read through adj_x or adj_y."""
    int8 = lowering.is_int8(node)
    first, first_swapped = _matrix(lowering, node.inputs[0], int8=int8)
    second, second_swapped = _matrix(lowering, node.inputs[1], int8=int8)
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = first_swapped, second_swapped
    shape = lowering.graph.shape(node.outputs[0])
    result = lowering.apply(
        "BATCH_MATMUL",
        [first, second],
        shape=shape,
        qparams=lowering.output_qparams(node, int8=int8),
        options=options,
    )
    lowering.publish(node.outputs[0], result, identity(len(shape)), clamp=node.clamp)


def _matrix(lowering: Lowering, name: str, *, int8: bool) -> tuple[int, bool]:
    shape = lowering.graph.shape(name)
    plain = identity(len(shape))
    if name in lowering.graph.constants:
        return lowering.constant(name, int8=int8), False
    swapped = (*plain[:-2], plain[-1], plain[-2])
    stored = lowering.read(name, int8=int8)
    if order(shape, stored.permutation) == order(shape, swapped) != order(shape, plain):
        return lowering.permuted(stored, swapped, shape=shape), True
    return lowering.permuted(stored, plain, shape=shape), False


def conv_weight(lowering: Lowering, node: Node, *, int8: bool) -> tuple[Array, QParams | None]:
    """Weight as (O, kh, kw, I / group), its channel axis 0, or blocks along the last."""
    weight, qparams = lowering.contents(node.inputs[1], int8=int8)
    if weight.ndim == 3:
        weight, qparams = weight[:, :, None, :], _flat_map(qparams)
    if qparams is not None and qparams.block:
        qparams = permuted_axis(qparams, (0, 2, 3, 1))
    return weight.transpose(0, 2, 3, 1), qparams


def _flat_map(qparams: QParams | None) -> QParams | None:
    """Blocks of a (O, I, L) weight as those of (O, I, 1, L)."""
    if qparams is None or not qparams.block:
        return qparams
    scale, zero_point = qparams.scale[:, :, None, :], qparams.zero_point[:, :, None, :]
    return QParams(scale, zero_point, qparams.dtype, qparams.axis, qparams.block)


def bias_tensor(lowering: Lowering, node: Node, size: int, *, int8: bool) -> int:
    """The bias: int32 with scale s_x * s_w (LiteRT quantization spec), zeros where the node has none."""
    name = node.inputs[2] if len(node.inputs) > 2 else ""
    if not int8:
        return lowering.constant(name, int8=False) if name else lowering.array(np.zeros(size, np.float32))
    scale = np.broadcast_to(lowering.qparams(node.inputs[0]).scale * lowering.qparams(node.inputs[1]).scale, (size,))
    data, qparams = np.zeros(size, np.int32), QParams(scale, np.zeros(size), "int32", 0)
    if name:
        data, given = lowering.contents(name, int8=True)
        assert given is not None
        qparams = QParams(np.broadcast_to(given.scale, (size,)), np.zeros(size), "int32", 0)
    return lowering.array(data, qparams=qparams, name=name)


def two_axes(node: Node) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and pads of a 1-D or 2-D node, as for 2-D with height 1."""
    strides, pads = list(node.attributes["strides"]), list(node.attributes["pads"])
    dilations = list(node.attributes.get("dilations", (1,) * len(strides)))
    if len(strides) == 1:
        return [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    return strides, dilations, pads


def map_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Shape of a (N,C,L) or (N,C,H,W) value as spatial kernels see it."""
    batch, channels, *spatial = shape
    height, width = (1, spatial[0]) if len(spatial) == 1 else spatial
    return batch, height, width, channels


def per_channel(qparams: QParams | None, channels: int, *, axis: int) -> QParams | None:
    """The same scales, one per output channel, on the axis where the stored weight has its channels.

    Kernels take one scale for a weight too, but not beside a bias with one per channel. Blocks stay as they are.
    """
    if qparams is None or qparams.block:
        return qparams
    scale, zero_point = (np.broadcast_to(array, (channels,)) for array in (qparams.scale, qparams.zero_point))
    return QParams(scale, zero_point, qparams.dtype, axis)
