"""Student's interval: what a handful of independent values tells of their mean.

Source: Student (1908), "The probable error of a mean", Biometrika 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from edgekit.types.interval import Interval


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Mean of a few independent values with its interval; unbounded for a single one.

    Args:
        values: One per process, for example logarithms of ratios; n >= 1.
        confidence: Nominal coverage, 0..1.
    """
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if array.size < 2:
        return Interval(mean, -math.inf, math.inf, confidence)
    half = float(stats.t.ppf((1 + confidence) / 2, array.size - 1)) * float(array.std(ddof=1)) / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, confidence)
