"""ValueMeter: streaming facts about one inner value, from which a layer is rated and its noise explained."""

from __future__ import annotations

import math

import numpy as np

from edgekit.check.signal import SqnrMeter
from edgekit.types.qparams import Array, QParams


class ValueMeter:
    """Streaming facts about one value: its noise, how its range is used, how its channels differ."""

    def __init__(self, params: QParams | None, channel_axis: int) -> None:
        self.noise = SqnrMeter()
        self.peak = 0.0
        self.seen_low, self.seen_high = math.inf, -math.inf
        self.outside = self.elements = 0
        self._params = params
        self._axis = channel_axis
        self._peaks: Array | None = None
        self._energy: Array | None = None

    def add(self, exact: Array, measured: Array) -> None:
        """Take in the value in float and as int8 holds it, same shape."""
        self.noise.add(exact, measured)
        self.elements += exact.size
        self.seen_low, self.seen_high = min(self.seen_low, float(exact.min())), max(self.seen_high, float(exact.max()))
        if self._params is not None:
            half = float(self._params.scale) / 2
            outside = (exact < self._params.low - half) | (exact > self._params.high + half)
            self.outside += int(np.count_nonzero(outside))
        self.peak = max(self.peak, abs(self.seen_low), abs(self.seen_high))
        self._add_channels(exact)

    def _add_channels(self, exact: Array) -> None:
        others = tuple(axis for axis in range(exact.ndim) if axis != self._axis % max(exact.ndim, 1))
        energy = np.square(exact, dtype=np.float64).sum(axis=others)
        self._energy = energy if self._energy is None else self._energy + energy
        peaks = np.abs(exact).max(axis=others)
        self._peaks = peaks if self._peaks is None else np.maximum(self._peaks, peaks)

    @property
    def saturated_share(self) -> float:
        """Share of the float values that the integers cannot reach."""
        return self.outside / self.elements if self.elements else 0.0

    @property
    def channel_spread(self) -> float:
        """Largest over median peak of the channels; 1 for a single channel or a dead value."""
        if self._peaks is None or not (middle := float(np.median(self._peaks))):
            return 1.0
        return float(self._peaks.max()) / middle

    @property
    def crest_factor(self) -> float:
        """Largest absolute value over the root mean square; 1 for a dead value."""
        return self.peak / self._rms if self.elements and self._rms > 0 else 1.0

    @property
    def _rms(self) -> float:
        return math.sqrt(self.noise.signal / self.elements)

    @property
    def typical_steps(self) -> float:
        """Root mean square of the float value in quantization steps; inf for a float value."""
        if self._params is None or not self.elements:
            return math.inf
        return self._rms / float(self._params.scale)

    @property
    def channel_steps(self) -> float:
        """Root mean square of the median channel that is not all zero, in quantization steps; inf for a float value.

        Where one loud channel sets the scale, the value as a whole looks well held while most of its channels are lost.
        """
        if self._params is None or self._energy is None or not self.elements:
            return math.inf
        live = self._energy[self._energy > 0]
        if not live.size:
            return math.inf
        per_channel = self.elements / self._energy.size
        return math.sqrt(float(np.median(live)) / per_channel) / float(self._params.scale)

    @property
    def used_range(self) -> float:
        """Share of the representable range between the smallest and the largest value seen."""
        if self._params is None or not self.elements:
            return 1.0
        return max(0.0, self.seen_high - self.seen_low) / (self._params.high - self._params.low)

    @property
    def far_from_zero(self) -> bool:
        """Whether holding 0 costs more of the range than the values themselves take."""
        return max(self.seen_low, -self.seen_high) > self.seen_high - self.seen_low
