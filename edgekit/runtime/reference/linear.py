"""Linear: Conv, ConvTranspose, Gemm and MatMul, one sum of products for floats and for integers.

Integers run through the floating-point matrix product of BLAS, which is exact as long as no partial sum can reach
2^24 (float32) or 2^53 (float64): `exact_dtype` proves which one is enough from the weights at hand.
Integer semantics: LiteRT quantization spec (CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED: bias int32 at s_in * s_w,
zero point 0) and ONNX QLinearConv; the accumulator is exact, as in gemmlowp and XNNPACK.
"""

from __future__ import annotations

import numpy as np

from edgekit.runtime.reference.rounding import Arrays, IntegerCall, saturate
from edgekit.runtime.reference.windows import Window
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def convolve(node: Node, x: Array, w: Array) -> Array:
    """Cross-correlation of x (N, C, *spatial) with w (C_out, C / group, *kernel), no bias."""
    window = Window.of(node, tuple(w.shape[2:]))
    padded = window.pad(x, 0)
    group = int(node.attributes["group"])
    if w.shape[1] == 1 and group > 1:
        return _depthwise(window, padded, w, w.shape[0] // group)
    positions = window.positions(padded.shape[2:])
    columns = _columns(window, padded).reshape(x.shape[0], group, -1, int(np.prod(positions)))
    rows = w.reshape(group, w.shape[0] // group, -1)
    return np.asarray(np.matmul(rows, columns).reshape(x.shape[0], w.shape[0], *positions))


def _columns(window: Window, padded: Array) -> Array:
    """im2col: (N, C, taps, *positions), channel before tap as the weight's own order."""
    if window.is_pointwise:
        return padded
    return np.stack(list(window.taps(padded)), axis=2)


def _depthwise(window: Window, padded: Array, w: Array, multiplier: int) -> Array:
    """One input channel per group: a sum over taps of scaled views; `multiplier` outputs per channel."""
    repeated = np.repeat(padded, multiplier, axis=1) if multiplier > 1 else padded
    total = np.zeros((padded.shape[0], w.shape[0], *window.positions(padded.shape[2:])), padded.dtype)
    columns = w.reshape(w.shape[0], -1, *([1] * (padded.ndim - 2)))
    for index, view in enumerate(window.taps(repeated)):
        total += view * columns[:, index]
    return total


def convolve_transposed(node: Node, x: Array, w: Array) -> Array:
    """The adjoint of a convolution: x (N, C_in, *spatial), w (C_in, C_out / group, *kernel), no bias.

    Each input position adds its weighted kernel to the output (ONNX ConvTranspose); pads crop the result and
    `output_padding` adds positions at the end.
    """
    window = Window.of(node, tuple(w.shape[2:]))
    group, spatial = int(node.attributes["group"]), tuple(x.shape[2:])
    full = tuple(
        (size - 1) * stride + extent + extra
        for size, stride, extent, extra in zip(
            spatial, window.strides, window.extents, node.attributes["output_padding"], strict=True
        )
    )
    rows = x.reshape(x.shape[0], group, x.shape[1] // group, -1)
    channels = w.shape[1] * group
    total = np.zeros((x.shape[0], channels, *full), x.dtype)
    columns = w.reshape(group, -1, w.shape[1], int(np.prod(window.kernel)))
    for index, tap in enumerate(window.tap_indices()):
        product = np.matmul(columns[..., index].transpose(0, 2, 1), rows)
        total[window.slices(tap, spatial)] += product.reshape(x.shape[0], channels, *spatial)
    crop = tuple(slice(begin, size - end) for begin, end, size in zip(window.begins, window.ends, full, strict=True))
    return total[(slice(None), slice(None), *crop)]


def multiply_rows(node: Node, x: Array, w: Array) -> Array:
    """Gemm of the dialect: y[..., o] = sum_k x[..., k] w[o, k], no bias."""
    return np.asarray(np.matmul(x, w.T))


def multiply_matrices(node: Node, a: Array, b: Array) -> Array:
    """Numpy matmul, batching included."""
    return np.asarray(np.matmul(a, b))


PRODUCTS = {
    "Conv": convolve,
    "ConvTranspose": convolve_transposed,
    "Gemm": multiply_rows,
    "MatMul": multiply_matrices,
}
"""operator -> its sum of products without bias."""

CHANNEL_AXIS = {"Conv": 1, "ConvTranspose": 1, "Gemm": -1, "MatMul": -1}
"""operator -> the output axis that bias and per-channel scales run over."""


def linear(node: Node, arrays: Arrays) -> Array:
    """The float operator, bias added."""
    total = PRODUCTS[node.op](node, arrays[0], arrays[1])
    if len(arrays) > 2:
        total = total + _along_channels(arrays[2], total.ndim, CHANNEL_AXIS[node.op])
    return total


def exact_dtype(op: str, x: Array, w: Array) -> type[np.floating]:
    """The float type in which every partial sum of the products is exact.

    The bound is max|x| times the largest absolute row sum of the weights; integers up to 2^24 are exact in float32,
    up to 2^53 in float64, in any order of summation and with or without fused multiply-add.

    Args:
        op: Linear operator.
        x: Centred integers.
        w: Centred integers of the weight or second operand.
    """
    largest = int(np.abs(x).max(initial=0))
    magnitudes = np.abs(w).astype(np.int64)
    axes = {"Conv": (1,), "ConvTranspose": (0,), "Gemm": (1,), "MatMul": (-2,)}[op]
    spatial = tuple(range(2, w.ndim)) if op in ("Conv", "ConvTranspose") else ()
    row_sum = int(magnitudes.sum(axis=(*axes, *spatial)).max(initial=0)) if w.ndim > 1 else int(magnitudes.sum())
    assert largest * row_sum < 2**53
    return np.float32 if largest * row_sum < 2**24 else np.float64


def integer_linear(call: IntegerCall) -> Array:
    """The int8 operator: exact accumulation, int32 bias, one rounding of s_in * s_w / s_out, saturation."""
    op, target = call.node.op, call.target()
    x, w = call.centred(0), call.centred(1)
    dtype = exact_dtype(op, x, w)
    total = PRODUCTS[op](call.node, x.astype(dtype), w.astype(dtype)).astype(np.float64)
    axis = CHANNEL_AXIS[op]
    if len(call.arrays) > 2:
        total += _along_channels(call.arrays[2].astype(np.float64), total.ndim, axis)
    multiplier = np.float64(call.source(0).scale) * call.source(1).scale.astype(np.float64) / np.float64(target.scale)
    return saturate(total * _along_channels(multiplier, total.ndim, axis), target, clamp=call.node.clamp)


def _along_channels(values: Array, ndim: int, axis: int) -> Array:
    """A scalar or a (C,) vector, shaped to broadcast along the channel axis."""
    if values.ndim == 0:
        return values
    shape = [1] * ndim
    shape[axis] = values.size
    return values.reshape(shape)
