"""Rounds a weight to int4 such that the errors of its elements cancel in the layer's output.

As `hessian.py` (GPTQ, Frantar et al. 2022, arXiv 2210.17323, in the form of QuIP, arXiv 2307.13304, theorem 6), but in
reals: where a row has a scale for every block of inputs, errors in steps of different sizes cannot be added.
"""

from __future__ import annotations

import numpy as np

from edgekit.shrink.quantization.hessian import cost_of, feedback_of
from edgekit.types.qparams import RANGES, Array

DAMPING = 0.01
"""Share of the mean diagonal added to the diagonal of H, as in GPTQ."""
BLOCK = 64
"""Columns between two matrix products; inside, the error is pushed on one column at a time."""


def round_int4(rows: Array, scale: Array, second: Array) -> Array:
    """Integers with a small e^T H e in every row, and never above that of rounding to nearest.

    Args:
        rows: (groups, O, K) weights.
        scale: Scale of every weight, the shape of `rows`.
        second: (groups, K, K), H: second moments of the columns that the rows multiply, or their covariance.

    Returns:
        int8 of [-8, 7], the shape of `rows`.
    """
    bottom, top = RANGES["int4"]
    target, steps = (np.ascontiguousarray(array.transpose(0, 2, 1), np.float32) for array in (rows, scale))
    nearest = np.clip(np.rint(target / steps), bottom, top)
    found = _in_turn(target, steps, feedback_of(second, damping=DAMPING))
    moments = second.astype(np.float32)
    worse = cost_of(target - found * steps, moments) > cost_of(target - nearest * steps, moments)
    best = np.where(worse[:, None, :], nearest, found)
    return best.transpose(0, 2, 1).astype(np.int8)


def _in_turn(target: Array, steps: Array, feedback: Array) -> Array:
    """float32 integers (groups, K, O), columns rounded in order with the error so far pushed on."""
    bottom, top = RANGES["int4"]
    found, error = np.empty_like(target), np.zeros_like(target)
    depth = target.shape[1]
    for start in range(0, depth, BLOCK):
        stop = min(start + BLOCK, depth)
        wanted = target[:, start:stop] + np.matmul(feedback[:, :start, start:stop].transpose(0, 2, 1), error[:, :start])
        for index in range(start, stop):
            row = feedback[:, None, start:index, index]
            column = wanted[:, index - start] + np.matmul(row, error[:, start:index])[:, 0]
            found[:, index] = np.clip(np.rint(column / steps[:, index]), bottom, top)
            error[:, index] = target[:, index] - found[:, index] * steps[:, index]
    return found
