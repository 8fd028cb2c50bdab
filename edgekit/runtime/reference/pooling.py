"""Pooling and reductions: exact integer sums with one rounding, maxima on the integers themselves.

Sources: LiteRT quantization spec (MAX_POOL_2D and AVERAGE_POOL_2D keep the scale of their input; MEAN is free) and
ONNX opset 20 (count_include_pad). The TFLite kernels divide the integer sum and round half away from zero
(reference_integer_ops/pooling.h); the sum is the same, so results differ at exact halves only.
"""

from __future__ import annotations

import numpy as np

from edgekit.runtime.reference.rounding import Arrays, IntegerCall, requantize, saturate
from edgekit.runtime.reference.windows import Window
from edgekit.types.graph import Node
from edgekit.types.qparams import Array


def max_pool(node: Node, arrays: Arrays) -> Array:
    """Largest value under the window; borders never win. Any dtype."""
    x = arrays[0]
    lowest = -np.inf if np.issubdtype(x.dtype, np.floating) else np.iinfo(x.dtype).min
    window = Window.of(node, tuple(node.attributes["kernel_shape"]))
    views = list(window.taps(window.pad(x, lowest)))
    largest = views[0].copy()
    for view in views[1:]:
        np.maximum(largest, view, out=largest)
    return largest


def average_pool(node: Node, arrays: Arrays) -> Array:
    """Mean under the window of a float map; borders count as zeros only with count_include_pad."""
    x = arrays[0]
    window = Window.of(node, tuple(node.attributes["kernel_shape"]))
    total = sum(window.taps(window.pad(x, 0)))
    return np.asarray(total / _counts(node, window, x).astype(x.dtype))


def _counts(node: Node, window: Window, x: Array) -> Array:
    """How many positions each output averages over, broadcastable to the output."""
    if node.attributes["count_include_pad"]:
        return np.asarray(np.prod(window.kernel))
    ones = window.pad(np.ones((1, 1, *x.shape[2:])), 0)
    return np.maximum(sum(window.taps(ones)), 1.0)


def reduced_axes(node: Node, ndim: int) -> tuple[int, ...]:
    """The axes a reduction runs over; GlobalAveragePool takes all spatial ones."""
    return tuple(range(2, ndim)) if node.op == "GlobalAveragePool" else tuple(node.attributes["axes"])


def keeps_dims(node: Node) -> bool:
    """Whether reduced axes stay with size 1."""
    return bool(node.attributes.get("keepdims", 1))


def mean(node: Node, arrays: Arrays) -> Array:
    """Float ReduceMean and GlobalAveragePool."""
    x = arrays[0]
    return np.asarray(x.mean(axis=reduced_axes(node, x.ndim), keepdims=keeps_dims(node)))


def total(node: Node, arrays: Arrays) -> Array:
    """ReduceSum of floats or indices, in the type of the input."""
    x = arrays[0]
    return np.asarray(x.sum(axis=reduced_axes(node, x.ndim), keepdims=keeps_dims(node), dtype=x.dtype))


def largest(node: Node, arrays: Arrays) -> Array:
    """ReduceMax, any dtype."""
    x = arrays[0]
    return np.asarray(x.max(axis=reduced_axes(node, x.ndim), keepdims=keeps_dims(node)))


def integer_average_pool(call: IntegerCall) -> Array:
    """int8 AveragePool: exact sum of `q - zero_point`, one rounding of s_in / (s_out * count)."""
    steps = average_pool(call.node, (call.centred().astype(np.float64),))
    return saturate(steps * _ratio(call), call.target(), clamp=call.node.clamp)


def integer_mean(call: IntegerCall) -> Array:
    """int8 ReduceMean and GlobalAveragePool: exact sum, one rounding."""
    centred = call.centred()
    axes = reduced_axes(call.node, centred.ndim)
    count = int(np.prod([centred.shape[axis] for axis in axes]))
    summed = centred.sum(axis=axes, keepdims=keeps_dims(call.node), dtype=np.int64)
    return saturate(summed / count * _ratio(call), call.target(), clamp=call.node.clamp)


def _ratio(call: IntegerCall) -> np.float64:
    """s_in / s_out; exactly 1 when the scales are tied."""
    return np.float64(call.source().scale) / np.float64(call.target().scale)


def integer_max_pool(call: IntegerCall) -> Array:
    """int8 MaxPool: comparisons of integers."""
    return _rescaled(call, max_pool(call.node, call.arrays))


def integer_largest(call: IntegerCall) -> Array:
    """int8 ReduceMax: comparisons of integers."""
    return _rescaled(call, largest(call.node, call.arrays))


def _rescaled(call: IntegerCall, integers: Array) -> Array:
    return requantize(integers, call.source(), call.target(), clamp=call.node.clamp)
