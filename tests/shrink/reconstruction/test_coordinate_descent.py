"""Coordinate descent never raises the error it descends, stays within its bounds, and beats its start."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shrink.reconstruction.coordinate_descent import DAMPING, round_adaptively


def problem(seed, *, groups=2, rows=5, depth=9, reach=20.0):
    """Weights in steps, and the moments of strongly correlated columns."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(groups, depth, 2)) @ rng.normal(size=(groups, 2, 60))
    columns += 0.1 * rng.normal(size=columns.shape) + rng.normal(size=(groups, depth, 1))
    return rng.normal(size=(groups, rows, depth)) * reach, columns @ columns.transpose(0, 2, 1) / 60


def errors(rows, integers, second):
    """Damped e^T H e per row."""
    damping = DAMPING * np.einsum("gkk->gk", second).mean(axis=1)
    damped = second + damping[:, None, None] * np.eye(second.shape[1])
    error = integers - rows
    return ((error @ damped) * error).sum(axis=2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 150))
def test_no_row_gets_worse_and_no_integer_leaves_its_bounds(seed, groups, depth):
    rows, second = problem(seed, groups=groups, depth=depth)
    start = np.rint(rows).astype(np.int8)
    low, high = np.floor(rows), np.ceil(rows)
    found = round_adaptively(rows, np.ones(()), start, second=second, low=low, high=high)
    assert found.dtype == np.int8
    assert (found >= low).all()
    assert (found <= high).all()
    before = errors(rows, start, second)
    assert (errors(rows, found, second) <= before * (1 + 1e-3) + 1e-6).all()


def test_the_error_of_nearest_rounding_falls_to_less_than_half():
    rows, second = problem(0, depth=64)
    start = np.rint(rows).astype(np.int8)
    found = round_adaptively(rows, np.ones(()), start, second=second, low=np.floor(rows), high=np.ceil(rows))
    assert errors(rows, found, second).sum() < 0.5 * errors(rows, start, second).sum()


def test_scales_per_block_are_reals_per_step():
    rows, second = problem(3, depth=8)
    scale = np.repeat([0.5, 4.0], 4) * np.ones(rows.shape)
    start = np.clip(np.rint(rows / scale), -8, 7).astype(np.int8)
    low, high = np.full(rows.shape, -8), np.full(rows.shape, 7)
    found = round_adaptively(rows, scale, start, second=second, low=low, high=high)
    assert errors(rows, found * scale, second).sum() < errors(rows, start * scale, second).sum()
    assert found.min() >= -8
    assert found.max() <= 7


def test_columns_that_are_never_anything_leave_their_weights_at_nearest():
    rows = np.array([[[0.3, -1.7, 2.2]]])
    start = np.rint(rows).astype(np.int8)
    second = np.zeros((1, 3, 3))
    found = round_adaptively(rows, np.ones(()), start, second=second, low=np.floor(rows), high=np.ceil(rows))
    np.testing.assert_array_equal(found, start)
