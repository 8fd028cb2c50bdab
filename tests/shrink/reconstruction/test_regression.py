"""The regression undoes what is linear in the quantized input, and leaves the weights alone where nothing is."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shrink.reconstruction.regression import PairedMoments, regressed

ROWS = np.random.default_rng(5).normal(size=(1, 4, 6))


def moments(distortion, noise, *, seed, count=400):
    """Pairs (x, x_q) with x_q = distortion x + noise, in two halves."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(2):
        exact = rng.normal(size=(1, 6, count)) + 1.0
        stored = distortion @ exact + noise * rng.normal(size=exact.shape)
        half = PairedMoments(ROWS)
        half.add(exact, stored)
        found.append(half)
    return found


def test_a_linear_distortion_is_undone():
    distortion = np.eye(6) + 0.2 * np.random.default_rng(0).normal(size=(6, 6))
    seen, left_out = moments(distortion, 0.0, seed=1)
    rows, ridge = regressed(seen, left_out)
    assert ridge == 0.01
    before = np.abs(ROWS @ distortion - ROWS).max()
    assert np.abs(rows @ distortion - ROWS).max() < 0.1 * before


def test_without_distortion_or_with_nothing_left_out_the_weights_stay():
    seen, left_out = moments(np.eye(6), 0.0, seed=1)
    for empty in (left_out, PairedMoments(ROWS)):
        rows, ridge = regressed(seen, empty)
        assert rows is ROWS
        assert math.isinf(ridge)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([20, 200]))
def test_output_error_on_the_samples_left_out_never_rises(seed, count):
    distortion = np.eye(6) + 0.05 * np.random.default_rng(seed).normal(size=(6, 6))
    seen, left_out = moments(distortion, 0.1, seed=seed, count=count)
    rows, _ = regressed(seen, left_out)
    second, wanted = left_out.matrices(centred=True)
    change = rows - ROWS
    assert ((change @ second) * change).sum() - 2 * (change * wanted).sum() <= 0
