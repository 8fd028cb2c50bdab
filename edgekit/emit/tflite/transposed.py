"""ConvTranspose: TRANSPOSE_CONV with the pads, dilations and groups its kernel does not know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.tflite.linear import bias_tensor, map_shape, per_channel, two_axes
from edgekit.emit.tflite.lowering import Lowering
from edgekit.emit.tflite.movement import concatenated, sliced, split_evenly
from edgekit.types.graph import Node
from edgekit.types.qparams import Array, QParams

_DENSE_LIMIT = 1 << 17  # numbers of a block-diagonal weight; beyond it groups run one by one


def conv_transpose(lowering: Lowering, node: Node) -> None:
    """TRANSPOSE_CONV: SAME or VALID where it fits, else VALID on the full result and a slice of it.

    A dilated kernel is written with its zeros, and output padding beyond the full result as zero rows of the kernel:
    both exact, and kernels need not support either. Groups become one block-diagonal weight while that is small.
    """
    int8 = lowering.is_int8(node)
    source = lowering.read_map(node.inputs[0], int8=int8)
    weight, qparams = _weight(lowering, node, int8=int8)
    group = node.attributes["group"]
    shape = map_shape(lowering.graph.shape(node.outputs[0]))
    bias = bias_tensor(lowering, node, shape[3], int8=int8)
    result_qparams = lowering.output_qparams(node, int8=int8)
    sources, weights, biases = [source], [weight], [bias]
    if group > 1 and group * weight.size <= _DENSE_LIMIT:
        weights = [_block_diagonal(weight, group)]
    elif group > 1:
        sources = split_evenly(lowering, source, axis=3, parts=group)
        weights = np.split(weight, group, axis=3)
        biases = _bias_parts(lowering, bias, group)
    parts = []
    for one_source, one_weight, one_bias in zip(sources, weights, biases, strict=True):
        scales = per_channel(qparams, one_weight.shape[0], axis=0)
        constant = lowering.array(one_weight, qparams=scales, name=node.inputs[1], int8=int8)
        operands = (one_source, constant, one_bias)
        parts.append(_one_group(lowering, node, operands, kernel=one_weight, shape=shape, qparams=result_qparams))
    result = parts[0] if len(parts) == 1 else concatenated(lowering, parts, axis=3)
    lowering.publish_map(node.outputs[0], result, clamp=node.clamp)


def _one_group(
    lowering: Lowering,
    node: Node,
    operands: tuple[int, int, int],
    *,
    kernel: Array,
    shape: Sequence[int],
    qparams: QParams | None,
) -> int:
    source, weight, bias = operands
    strides, _, pads = two_axes(node)
    size, window = lowering.shape_of(source)[1:3], kernel.shape[1:3]
    full = [(size[axis] - 1) * strides[axis] + window[axis] for axis in (0, 1)]
    options = schema.TransposeConvOptionsT()
    options.strideH, options.strideW = strides
    options.padding = schema.Padding.VALID
    wanted = list(shape[1:3])
    if all(_is_same(size[a], wanted[a], full=full[a], stride=strides[a], begin=pads[a]) for a in (0, 1)):
        options.padding, full = schema.Padding.SAME, wanted
    written = (shape[0], *full, kernel.shape[0])
    result = lowering.apply(
        "TRANSPOSE_CONV",
        [lowering.integers(written), weight, source, bias],
        shape=written,
        like=source,
        qparams=qparams,
        options=options,
    )
    if full == wanted:
        return result
    starts = (0, pads[0], pads[1], 0)
    return sliced(
        lowering,
        result,
        starts,
        [start + n for start, n in zip(starts, (written[0], *wanted, written[3]), strict=True)],
    )


def _is_same(size: int, result: int, *, full: int, stride: int, begin: int) -> bool:
    return size == -(-result // stride) and full >= result and begin == (full - result) // 2


def _weight(lowering: Lowering, node: Node, *, int8: bool) -> tuple[Array, QParams | None]:
    """Weight as (O / group, kh, kw, I), dilated by hand, long enough for the output padding."""
    weight, qparams = lowering.contents(node.inputs[1], int8=int8)
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
    strides, dilations, pads = two_axes(node)
    weight = weight.transpose(1, 2, 3, 0)
    size = map_shape(lowering.graph.shape(node.inputs[0]))[1:3]
    wanted = map_shape(lowering.graph.shape(node.outputs[0]))[1:3]
    extent = [(n - 1) * step + 1 for n, step in zip(weight.shape[1:3], dilations, strict=True)]
    long = [max(extent[a], pads[a] + wanted[a] - (size[a] - 1) * strides[a]) for a in (0, 1)]
    kernel = np.zeros((weight.shape[0], *long, weight.shape[3]), weight.dtype)
    kernel[:, : extent[0] : dilations[0], : extent[1] : dilations[1]] = weight
    return kernel, qparams


def _block_diagonal(weight: Array, group: int) -> Array:
    """(O / group, kh, kw, I) with groups along I -> (O, kh, kw, I), zero between groups."""
    filters, height, width, channels = weight.shape
    dense = np.zeros((filters * group, height, width, channels), weight.dtype)
    step = channels // group
    for number in range(group):
        block = slice(number * step, (number + 1) * step)
        dense[number * filters : (number + 1) * filters, :, :, block] = weight[..., block]
    return dense


def _bias_parts(lowering: Lowering, bias: int, group: int) -> list[int]:
    tensor = lowering.program.tensors[bias]
    assert tensor.data is not None
    parts = np.split(tensor.data, group)
    if tensor.qparams is None:
        return [lowering.array(part) for part in parts]
    scales = np.split(tensor.qparams.scale, group)
    every = [QParams(scale, np.zeros(scale.shape), "int32", 0) for scale in scales]
    return [lowering.array(part, qparams=qparams) for part, qparams in zip(parts, every, strict=True)]
