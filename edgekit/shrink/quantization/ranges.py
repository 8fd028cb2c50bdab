"""Ranges of activations from their histograms: which values int8 should reach, and which may saturate.

A wide range rounds everything coarsely, a narrow one clips what is rare. Each method settles this for one tensor by
itself; which of them suits a network is for the range-search rung to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from edgekit.shrink.quantization.histogram import HALF, Histogram
from edgekit.types.qparams import Array

Range = tuple[float, float]

PERCENTILE = 0.9999
"""Share of values kept by the method "percentile"."""
LEVELS = 255
"""Steps between the ends of an int8 range."""
ENTROPY_LEVELS = 128
"""Levels the entropy method compares with, of TensorRT's 2048 bins for one side."""
UNSEEN = 1e-4
"""Least share Q gives an occupied bin, so that values moved into an empty end bin cost much and not everything; the
constant of `smooth_distribution` in onnxruntime's quant_utils.py."""
NARROWEST = 0.2
"""Smallest share of min-max that a search tries."""


def choose_range(histogram: Histogram, method: str) -> Range:
    """Range of one tensor.

    Args:
        histogram: What was observed of it.
        method: Key of `METHODS`.

    Returns:
        (low, high), within the observed minimum and maximum.
    """
    return METHODS[method](histogram)


def minmax_range(histogram: Histogram) -> Range:
    """Everything that was seen."""
    return histogram.low, histogram.high


def percentile_range(histogram: Histogram, keep: float = PERCENTILE) -> Range:
    """Range that holds the share `keep` (0..1) of the values, cutting equally at both ends, never past min and max."""
    total = np.cumsum(histogram.counts)
    tail = (1.0 - keep) / 2 * total[-1]
    first = int(np.searchsorted(total, tail, side="right"))
    last = int(np.searchsorted(total, total[-1] - tail, side="left"))
    return _within(histogram, (first - HALF) * histogram.width, (last + 1 - HALF) * histogram.width)


def mse_range(histogram: Histogram, *, levels: int = LEVELS, steps: int = 41) -> Range:
    """Range whose expected squared error, rounding inside and clipping outside, is least over the histogram.

    Rounding error is the uniform model scale^2 / 12. The two ends are searched independently, each a share of what
    was seen there, so a tensor with one long tail loses that tail alone and a one-sided tensor stays one-sided.
    """
    lows, highs = _ends(histogram, steps)
    centers, weights = histogram.centers, histogram.counts / max(1, histogram.counts.sum())
    below = np.maximum(lows[:, None] - centers, 0) ** 2 @ weights
    above = np.maximum(centers - highs[:, None], 0) ** 2 @ weights
    error = below[:, None] + above + ((highs - lows[:, None]) / levels) ** 2 / 12
    first, last = np.unravel_index(int(error.argmin()), error.shape)
    return _within(histogram, float(lows[first]), float(highs[last]))


def entropy_range(histogram: Histogram, *, levels: int = ENTROPY_LEVELS, steps: int = 64) -> Range:
    """Range that loses least information: the smallest Kullback-Leibler divergence KL(P || Q).

    P is the histogram with everything outside the range moved into its end bins, Q the part inside, merged into
    `levels` levels and spread evenly over the bins that are not empty (S. Migacz, "8-bit inference with TensorRT",
    GTC 2017; `HistogramCollector` in onnxruntime's calibrate.py). As there, one threshold bounds the magnitude, so the
    longer tail is cut first. The bin at zero counts no more than its neighbours (as in NVIDIA's pytorch-quantization):
    zero is exact in every range, and after a ReLU it would drown the rest.
    """
    if histogram.width == 0.0:
        return minmax_range(histogram)
    counts = histogram.counts.copy()
    counts[HALF] = min(counts[HALF], max(counts[HALF - 1], counts[HALF + 1]))
    peak = max(-histogram.low, histogram.high, 0.0)
    best, best_range = np.inf, minmax_range(histogram)
    for threshold in peak * np.linspace(1.0, NARROWEST, steps):
        low, high = max(min(histogram.low, 0.0), -threshold), min(max(histogram.high, 0.0), threshold)
        first = max(HALF + int(np.floor(low / histogram.width)), 0)
        last = min(HALF + max(int(np.ceil(high / histogram.width)), 1), 2 * HALF)
        if last - first < levels:
            break
        divergence = _divergence(counts, first, last, levels)
        if divergence < best:
            best, best_range = divergence, (float(low), float(high))
    return _within(histogram, *best_range)


def _divergence(counts: Array, first: int, last: int, levels: int) -> float:
    """KL(P || Q) of keeping the bins [first, last)."""
    inside = counts[first:last].astype(np.float64)
    reference = inside.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    filled = inside > 0
    if not filled.any():
        return float("inf")
    level = np.arange(inside.size) * levels // inside.size
    members = np.bincount(level, weights=filled, minlength=levels)
    spread = np.bincount(level, weights=inside, minlength=levels) / np.maximum(members, 1)
    approximation = np.where(filled, spread[level], 0.0)
    occupied = reference > 0
    p, q = reference[occupied] / reference.sum(), approximation[occupied] / approximation.sum()
    return float((p * np.log(p / np.maximum(q, UNSEEN))).sum())


def _ends(histogram: Histogram, steps: int) -> tuple[Array, Array]:
    """Low and high ends to try, from min-max inwards; each range contains zero."""
    shares = np.linspace(1.0, NARROWEST, steps)
    return min(histogram.low, 0.0) * shares, max(histogram.high, 0.0) * shares


def _within(histogram: Histogram, low: float, high: float) -> Range:
    """The range without what was never seen; all that was seen where the cut has gone past it."""
    low, high = max(low, histogram.low), min(high, histogram.high)
    return (low, high) if low <= high else minmax_range(histogram)


METHODS: Mapping[str, Callable[[Histogram], Range]] = {
    "minmax": minmax_range,
    "percentile": percentile_range,
    "mse": mse_range,
    "entropy": entropy_range,
    "percentile-99.9": partial(percentile_range, keep=0.999),
    "percentile-99.999": partial(percentile_range, keep=0.99999),
}
"""`Plan.method` -> range of one tensor. A recipe may name those without a number."""
