"""Confidence intervals: what a handful of samples or timing rounds can and cannot tell.

Takes counts or measurements, hands back an `Interval`. Proportions use score intervals, which keep their coverage at
the small counts and the shares near 1 that held-back sets have; medians of timings use the bootstrap.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from edgekit.types.interval import Interval
from edgekit.types.qparams import Array

RESAMPLES = 1000


def wilson(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """Interval of a proportion.

    Source: E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference"; the score
    interval without continuity correction.

    Args:
        successes: How often it happened, 0..count.
        count: Out of how many, at least 1.
        confidence: Nominal coverage, 0..1.

    >>> wilson(10, 10).low > 0.7
    True
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / count
    centre = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    low, high = (centre - reach) / scale, (centre + reach) / scale
    return Interval(share, max(0.0, min(low, share)), min(1.0, max(high, share)), confidence)


def newcombe_paired(both: int, first_only: int, second_only: int, neither: int) -> Interval:
    """95 % interval of the difference of two proportions measured on the same samples, first - second.

    Source: R. G. Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions
    based on paired data", Statistics in Medicine 17, 2635-2650, method 10 (square-and-add of Wilson intervals with
    a continuity-corrected correlation).

    Args:
        both: Samples where both succeed.
        first_only: Samples where only the first succeeds.
        second_only: Samples where only the second succeeds.
        neither: Samples where both fail. The four add up to at least 1.
    """
    count = both + first_only + second_only + neither
    first, second = wilson(both + first_only, count), wilson(both + second_only, count)
    correlation = _correlation(both, first_only, second_only, neither)
    difference = (first_only - second_only) / count
    down = _square_and_add(first.estimate - first.low, second.high - second.estimate, correlation)
    up = _square_and_add(first.high - first.estimate, second.estimate - second.low, correlation)
    return Interval(difference, max(-1.0, difference - down), min(1.0, difference + up))


def bootstrap_median(values: Array, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Percentile-bootstrap interval of the median.

    Source: B. Efron and R. Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.

    Args:
        values: Independent measurements, shape (n,), n >= 1.
        confidence: Nominal coverage, 0..1.
        seed: Of the resampling, so that the same values give the same interval.
    """
    values = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, values.size, (RESAMPLES, values.size))
    medians = np.median(values[picks], axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(values)), float(low), float(high), confidence)


def bootstrap_mean(values: Array, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Percentile-bootstrap interval of the mean; source and arguments as `bootstrap_median`."""
    values = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(0, values.size, values.size)].mean() for _ in range(RESAMPLES)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high), confidence)


def _correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    product = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if product == 0:
        return 0.0
    excess = both * neither - first_only * second_only
    half = (both + first_only + second_only + neither) / 2
    corrected = excess - half if excess > half else 0.0 if excess >= 0 else float(excess)
    return corrected / math.sqrt(product)


def _square_and_add(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first * first - 2 * correlation * first * second + second * second))
