"""Resize: nearest and linear interpolation over the spatial axes, one axis after the other.

Source: ONNX opset 20 Resize (coordinate_transformation_mode, nearest_mode), no antialiasing, no exclusion of
outside pixels: samples outside the map take its edge. Coordinates are computed in float64 from integer sizes, so
that exact positions stay exact; a kernel that computes them in float32 may pick the other of two equally near pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.runtime.reference.rounding import Arrays, IntegerCall, requantize, saturate
from edgekit.types.graph import Node
from edgekit.types.qparams import Array

_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def source_coordinates(size: int, result: int, coordinates: str) -> Array:
    """float64 (result,): where each result pixel samples the source axis.

    >>> source_coordinates(2, 4, "half_pixel")
    array([-0.25,  0.25,  0.75,  1.25])
    """
    index = np.arange(result, dtype=np.float64)
    if coordinates == "half_pixel":
        return (2 * index + 1) * size / (2 * result) - 0.5
    if coordinates == "align_corners":
        return index * (size - 1) / max(result - 1, 1)
    assert coordinates == "asymmetric", coordinates
    return index * size / result


def nearest_indices(node: Node, size: int, result: int) -> Array:
    """int64 (result,): the source pixel each result pixel copies."""
    where = source_coordinates(size, result, node.attributes["coordinates"])
    picked = _ROUNDINGS[node.attributes["nearest_mode"]](where)
    return np.asarray(np.clip(picked, 0, size - 1).astype(np.int64))


def linear_weights(node: Node, size: int, result: int) -> tuple[Array, Array, Array]:
    """Lower pixel, upper pixel (int64) and the weight of the upper one (float64), each (result,)."""
    where = source_coordinates(size, result, node.attributes["coordinates"])
    where = np.clip(where, 0, size - 1)
    lower = np.floor(where).astype(np.int64)
    return lower, np.minimum(lower + 1, size - 1), where - lower


def resize(node: Node, arrays: Arrays) -> Array:
    """Float Resize; nearest works on any dtype."""
    x = arrays[0]
    for axis, result in enumerate(node.attributes["sizes"], start=2):
        if node.attributes["mode"] == "nearest":
            x = np.take(x, nearest_indices(node, x.shape[axis], result), axis=axis)
        else:
            lower, upper, share = linear_weights(node, x.shape[axis], result)
            share = share.astype(x.dtype).reshape(-1, *([1] * (x.ndim - axis - 1)))
            first = np.take(x, lower, axis=axis)
            x = first + (np.take(x, upper, axis=axis) - first) * share
    return x


def integer_resize(call: IntegerCall) -> Array:
    """int8 Resize: nearest copies integers; linear interpolates them in float64 and rounds once."""
    if call.node.attributes["mode"] == "nearest":
        return requantize(resize(call.node, call.arrays), call.source(), call.target(), clamp=call.node.clamp)
    steps = resize(call.node, (call.centred().astype(np.float64),))
    ratio = np.float64(call.source().scale) / np.float64(call.target().scale)
    return saturate(steps * ratio, call.target(), clamp=call.node.clamp)
