"""int4 scales: one per block of neighbouring inputs, chosen for the least squared error instead of the largest weight.

With 15 steps the largest weight of a channel is a poor guide: clipping it buys finer steps for all the others. So each
scale is searched (as OMSE, Choukroun et al. 2019, arXiv 1902.06822), and a scale serves only a block of inputs where
the weight's shape allows it.
"""

from __future__ import annotations

import numpy as np

from edgekit.types.qparams import RANGES, Array, QParams

BLOCKS = (64, 32, 16)
"""Inputs that share a float32 scale, the first that divides their number. 64 cost half a bit per weight (1.5 in TFLite,
where each scale has a zero point of 8 bytes); 32 held EfficientNet-Lite0 no better at the same size of the file.
MatMulNBits takes powers of two from 16 on."""
FACTORS = np.linspace(0.4, 1.15, 31, dtype=np.float32)
"""Scales tried, in units of the one that just holds the largest weight."""
SMALLEST_SCALE = 1e-10
CHUNK = 1 << 22
"""Weights looked at together: a large table is not copied as a whole."""


def block_of(depth: int) -> int:
    """Block size along an axis of `depth` inputs; 0 where no block size divides it."""
    return next((block for block in BLOCKS if depth % block == 0), 0)


def choose_int4(weight: Array, *, channel: int, inputs: int | None, importance: Array | None = None) -> QParams:
    """Scales of the least weighted squared error of rounding to nearest within [-8, 7].

    -8 is used although +8 does not exist: measured on EfficientNet-Lite0, 0.3 dB more than with [-7, 7].

    Args:
        weight: float32.
        channel: Its axis of output channels, one scale each where there are no blocks.
        inputs: Its axis of input channels, which blocks run along; None for no blocks.
        importance: Weight of each element's squared error (the mean square of the input it multiplies), broadcastable
            to `weight`; None counts all alike.

    Returns:
        int4 QParams in blocks along `inputs` where `block_of` finds one, else per channel; zero point 0.
    """
    block = block_of(weight.shape[inputs]) if inputs is not None else 0
    axis = inputs if inputs is not None and block else channel
    groups = _groups(weight, axis, block=block)
    weights = None
    if importance is not None:
        weights = _groups(np.broadcast_to(importance, weight.shape), axis, block=block)
    rows = groups.reshape(-1, groups.shape[-1])
    scale = _search_all(rows, None if weights is None else weights.reshape(rows.shape)).reshape(groups.shape[:-1])
    if block:
        scale = np.moveaxis(scale, -1, axis)
    return QParams(scale, np.zeros(scale.shape, np.int32), "int4", axis, block)


def _groups(array: Array, axis: int, *, block: int) -> Array:
    """The elements that share a scale along a new last axis: (C, n), or (*other axes, size / block, block)."""
    if block:
        last = np.moveaxis(array, axis, -1)
        return last.reshape(*last.shape[:-1], -1, block)
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def _search_all(rows: Array, importance: Array | None) -> Array:
    step = max(1, CHUNK // rows.shape[1])
    found = [
        _search(rows[start : start + step], None if importance is None else importance[start : start + step])
        for start in range(0, len(rows), step)
    ]
    return np.concatenate(found)


def _search(rows: Array, importance: Array | None) -> Array:
    """Best scale of each row, (n,) float32."""
    bottom, top = RANGES["int4"]
    fitting = np.maximum(np.abs(rows).max(axis=1) / top, SMALLEST_SCALE).astype(np.float32)
    best: Array
    best, least = fitting.copy(), np.full(fitting.shape, np.inf, np.float32)
    for factor in FACTORS:
        scale = fitting * factor
        error = np.clip(np.rint(rows / scale[:, None]), bottom, top) * scale[:, None] - rows
        np.square(error, out=error)
        total = error.sum(axis=1) if importance is None else (error * importance).sum(axis=1)
        better = total < least
        best[better], least[better] = scale[better], total[better]
    return best
