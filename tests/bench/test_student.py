"""Student's interval covers the truth as often as it says."""

from __future__ import annotations

import math

import numpy as np

from edgekit.bench.student import mean_interval


def test_students_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    hits = sum(
        abs(found.estimate) <= found.high - found.estimate
        for found in (mean_interval(rng.normal(0, 1, 5)) for _ in range(1000))
    )
    assert 925 <= hits <= 975


def test_one_value_has_no_interval() -> None:
    assert mean_interval([0.1]).high == math.inf
