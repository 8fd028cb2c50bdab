"""Histogram: a streaming summary of one tensor's values in constant memory.

Bins are anchored at zero and their width is a power of two times the first one: when a value falls outside, pairs
of bins are merged and the width doubles. Merging is exact, so one pass is enough and the order of batches does not
change the counts beyond the first width. Minimum, maximum and mean are exact over every element; the bins count a
fixed stride of at most `SAMPLED` elements a batch, which is what keeps calibration cheaper than the model itself.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.types.qparams import Array

HALF = 1024
"""Bins on each side of zero."""
SAMPLED = 4096
"""Elements of one batch that enter the bins."""


class Histogram:
    """Running minimum, maximum, histogram, and (when asked) per-channel mean of one value."""

    def __init__(self, *, channel_axis: int | None = None) -> None:
        self.low = np.inf
        self.high = -np.inf
        self.batches = 0
        self.counts: Array = np.zeros(2 * HALF, np.int64)
        self.width = 0.0
        self._channel_axis = channel_axis
        self._channel_sum: Array | None = None

    def update(self, values: Array) -> bool:
        """Take in one batch: float32, any shape. False, and nothing taken, when it holds NaN or infinity."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):  # both propagate NaN
            return False
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.batches += 1
        if self._channel_axis is not None:
            rows = np.moveaxis(values, self._channel_axis, 0).reshape(values.shape[self._channel_axis], -1)
            mean = rows.mean(axis=1)  # float32 with pairwise summation: exact enough for a bias, twice as fast
            self._channel_sum = mean.astype(np.float64) if self._channel_sum is None else self._channel_sum + mean
        self._count(values)
        return True

    @property
    def channel_mean(self) -> Array | None:
        """float64 (C,) mean over batches and positions; None when no channel axis was asked for."""
        return None if self._channel_sum is None else self._channel_sum / self.batches

    @property
    def centers(self) -> Array:
        """Real value in the middle of each bin."""
        return (np.arange(-HALF, HALF) + 0.5) * self.width

    def _count(self, values: Array) -> None:
        flat = values.reshape(-1)
        flat = flat[:: max(1, flat.size // SAMPLED)]
        peak = max(abs(self.low), abs(self.high), 1e-12)
        if self.width == 0.0:
            self.width = peak / (HALF - 1)
        while peak / self.width >= HALF:
            self._double()
        bins = np.floor(flat * (1.0 / self.width)).astype(np.int64) + HALF
        self.counts += np.bincount(np.clip(bins, 0, 2 * HALF - 1), minlength=2 * HALF)

    def _double(self) -> None:
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros_like(self.counts)
        self.counts[HALF // 2 : HALF // 2 + HALF] = merged
        self.width *= 2


def percentile_range(histogram: Histogram, keep: float) -> tuple[float, float]:
    """Range that holds the share `keep` (0..1) of the values, cutting equally at both ends, never past min and max."""
    total = np.cumsum(histogram.counts)
    tail = (1.0 - keep) / 2 * total[-1]
    first = int(np.searchsorted(total, tail, side="right"))
    last = int(np.searchsorted(total, total[-1] - tail, side="left"))
    low, high = (first - HALF) * histogram.width, (last + 1 - HALF) * histogram.width
    return max(low, histogram.low), min(high, histogram.high)


def mse_range(histogram: Histogram, *, levels: int = 255, steps: int = 40) -> tuple[float, float]:
    """Range whose expected squared error, rounding inside and clipping outside, is least over the histogram.

    Rounding error is the uniform model scale^2 / 12; both ends shrink together from min-max (the search that MQBench
    and AIMET call MSE), so a one-sided tensor stays one-sided.
    """
    centers, weights = histogram.centers, histogram.counts / max(1, histogram.counts.sum())
    best, best_range = np.inf, (histogram.low, histogram.high)
    for share in np.linspace(1.0, 0.2, steps):
        low, high = min(histogram.low, 0.0) * share, max(histogram.high, 0.0) * share
        outside = np.maximum(low - centers, 0) + np.maximum(centers - high, 0)
        error = float((weights * outside**2).sum()) + ((high - low) / levels) ** 2 / 12
        if error < best:
            best, best_range = error, (max(low, histogram.low), min(high, histogram.high))
    return best_range
