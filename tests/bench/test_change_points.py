"""A level that changes for good is found where it begins; outliers, drift and small steps are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.change_points import MIN_LEVEL, find_changes
from edgekit.errors import InputError


def history(length: int, *, deviation: float = 0.01, seed: int = 0) -> np.ndarray:
    return 4.2e6 * np.exp(deviation * np.random.default_rng(seed).standard_normal(length))


def found(values: object, **settings: float) -> list[int]:
    return [change.index for change in find_changes(values, **settings)]  # type: ignore[arg-type]


def test_a_step_is_told_with_its_levels_and_its_size() -> None:
    values = history(60)
    values[40:] *= 1.1
    (change,) = find_changes(values)
    assert change.index == 40
    assert change.before == pytest.approx(4.2e6, rel=0.01)
    assert change.after == pytest.approx(4.62e6, rel=0.01)
    assert change.relative == pytest.approx(0.1, abs=0.01)
    assert change.relative == change.after / change.before - 1
    assert 0 <= change.p_value < 1e-6


def test_steps_up_and_down_are_two_changes() -> None:
    values = history(90)
    values[30:60] *= 0.9
    first, second = find_changes(values)
    assert (first.index, second.index) == (30, 60)
    assert first.relative < 0 < second.relative
    assert first.after == second.before


def test_a_change_is_known_five_runs_after_it() -> None:
    values = history(60)
    values[-MIN_LEVEL:] *= 1.1
    assert found(values) == [60 - MIN_LEVEL]
    assert found(values[:-1]) == []


def test_single_slow_runs_are_no_change() -> None:
    values = history(80)
    values[[10, 31, 32, 55, 79]] *= [2, 3, 3, 10, 2]
    assert found(values) == []


def test_a_step_is_found_among_slow_runs() -> None:
    values = history(80)
    values[50:] *= 1.06
    values[3::8] *= 2
    assert found(values) == [50]


def test_noise_that_grows_and_shrinks_is_seldom_taken_for_levels() -> None:
    """Harsh noise, to tell the two ways apart: judged by the pooled variance alone, 26 series have a false change."""
    random = np.random.default_rng(6)
    sizes = [0.02 * np.repeat(np.exp(random.normal(0, 0.6, 20)), 10) for _ in range(150)]
    wrong = sum(bool(found(np.exp(size * random.standard_normal(200)))) for size in sizes)
    assert wrong <= 21


def test_steps_below_the_minimum_effect_are_not_told() -> None:
    values = history(200, deviation=0.002)
    values[100:] *= 1.01
    assert found(values) == []
    assert found(values, minimum_effect=0.005) == [100]


@pytest.mark.parametrize(("length", "series", "most"), [(200, 100, 3), (20, 600, 14)])
def test_runs_that_resemble_the_one_before_are_seldom_taken_for_levels(length: int, series: int, most: int) -> None:
    """Without the widening by the autocorrelation, every sixth of the long ones has a false change; with each level's
    own variance alone, 19 of the short ones."""
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(series):
        fresh = random.standard_normal(length)
        noise = fresh[:1].repeat(length)
        for run in range(1, length):
            noise[run] = 0.5 * noise[run - 1] + math.sqrt(0.75) * fresh[run]
        wrong += bool(found(np.exp(0.03 * noise)))
    assert wrong <= most


def test_noise_alone_has_no_change() -> None:
    assert sum(bool(found(history(50, deviation=0.03, seed=seed))) for seed in range(100)) <= 1


def test_counts_without_any_noise_can_be_judged() -> None:
    counts = [846_465.0] * 12 + [848_500.0] * 6
    assert found(counts, minimum_effect=0.002) == [12]
    assert found(counts, minimum_effect=0.005) == []
    assert found([846_465.0] * 30, minimum_effect=0.002) == []


@pytest.mark.parametrize("length", [0, 1, 2 * MIN_LEVEL - 1])
def test_short_histories_have_no_levels_yet(length: int) -> None:
    assert find_changes(([1.0] * MIN_LEVEL + [5.0] * MIN_LEVEL)[:length]) == ()


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_costs_are_finite_and_positive(wrong: float) -> None:
    with pytest.raises(InputError, match="finite and positive"):
        find_changes([1.0] * 12 + [wrong])


def test_a_minimum_effect_is_positive() -> None:
    with pytest.raises(InputError, match="minimum effect"):
        find_changes([1.0] * 12, minimum_effect=0)


@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.integers(MIN_LEVEL, 35))
def test_law_the_unit_does_not_matter(seed: int, factor: float, step_at: int) -> None:
    values = history(40, seed=seed)
    values[step_at:] *= 1.08
    assert found(values * factor) == found(values)
