"""Histogram: a streaming summary of one tensor's values in constant memory.

Bins are anchored at zero and their width is a power of two times the first one: when a value falls outside, pairs
of bins are merged and the width doubles. Merging is exact, so one pass is enough and the order of batches does not
change the counts beyond the first width. Minimum, maximum and mean are exact over every element; the bins count a
fixed stride of at most `SAMPLED` elements a batch, which is what keeps calibration cheaper than the model itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgekit.types.qparams import Array

HALF = 1024
"""Bins on each side of zero."""
SAMPLED = 4096
"""Elements of one batch that enter the bins."""


@dataclass(frozen=True, eq=False)
class ChannelSpread:
    """How the channels of one value differ; each array has shape (C,).

    Attributes:
        low: Smallest value seen, float32.
        high: Largest value seen, float32.
        power: Mean square, float64.
    """

    low: Array
    high: Array
    power: Array

    @property
    def peak(self) -> Array:
        """Largest magnitude, float32."""
        peak: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return peak


class Histogram:
    """Running minimum, maximum, histogram, and (when asked) per-channel mean and spread of one value.

    Args:
        channel_axis: Axis of the channels; None when nothing per channel is wanted.
        spread: Keep each channel's minimum, maximum and power too, which costs about as much as the rest.
    """

    def __init__(self, *, channel_axis: int | None = None, spread: bool = False) -> None:
        self.low = np.inf
        self.high = -np.inf
        self.batches = 0
        self.counts: Array = np.zeros(2 * HALF, np.int64)
        self.width = 0.0
        self._channel_axis = channel_axis
        self._channel_sum: Array | None = None
        self._keeps_spread = spread
        self._spread: ChannelSpread | None = None

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
            if self._keeps_spread:
                self._widen(rows)
        self._count(values)
        return True

    @property
    def channel_mean(self) -> Array | None:
        """float64 (C,) mean over batches and positions; None when no channel axis was asked for."""
        return None if self._channel_sum is None else self._channel_sum / self.batches

    @property
    def spread(self) -> ChannelSpread | None:
        """How the channels differ; None when that was not asked for."""
        kept = self._spread
        return None if kept is None else ChannelSpread(kept.low, kept.high, kept.power / self.batches)

    def _widen(self, rows: Array) -> None:
        """Take in one batch of shape (C, positions)."""
        low, high = rows.min(axis=1), rows.max(axis=1)
        power = np.einsum("cp,cp->c", rows, rows).astype(np.float64) / rows.shape[1]
        if self._spread is not None:
            before = self._spread
            low, high = np.minimum(low, before.low), np.maximum(high, before.high)
            power = power + before.power
        self._spread = ChannelSpread(low, high, power)

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
