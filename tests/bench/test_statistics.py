"""Statistics of a measurement: laws, sample floors, and coverage on processes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.statistics import median_interval, summarize
from edgekit.types.bench import ProcessRun


def run(*samples: int, energy_j: float | None = None) -> ProcessRun:
    return ProcessRun(samples, 2_000_000, 3_000_000, 4_000_000, 10, True, 50_000_000, 1.0, energy_j)


processes = st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), min_size=1, max_size=6)


@given(processes)
def test_the_interval_holds_the_estimate_and_stays_within_the_samples(samples: list[list[int]]) -> None:
    summary = summarize([run(*values) for values in samples])
    assert summary
    everything = [value for values in samples for value in values]
    interval = summary.median
    assert min(everything) <= interval.low <= interval.estimate <= interval.high <= max(everything)
    assert summary.minimum == min(everything)
    assert summary.samples == len(everything)


@given(processes, st.integers(2, 50))
def test_costs_scale(samples: list[list[int]], factor: int) -> None:
    plain = summarize([run(*values) for values in samples])
    scaled = summarize([run(*(value * factor for value in values)) for values in samples])
    assert plain
    assert scaled
    assert scaled.median.estimate == pytest.approx(plain.median.estimate * factor)
    assert scaled.median.high == pytest.approx(plain.median.high * factor)
    assert scaled.spread == pytest.approx(plain.spread)


def test_the_same_samples_give_the_same_interval() -> None:
    samples = [run(*range(100, 200)), run(*range(110, 230))]
    assert summarize(samples, seed=1) == summarize(samples, seed=1)


@pytest.mark.parametrize(
    ("count", "p90", "p99"), [(63, False, False), (64, True, False), (661, True, False), (662, True, True)]
)
def test_tails_only_above_their_floors(count: int, p90: bool, p99: bool) -> None:
    summary = summarize([run(*range(1, count + 1))])
    assert summary
    assert (summary.p90 is not None, summary.p99 is not None) == (p90, p99)


def test_nothing_measured_is_no_summary() -> None:
    assert summarize([]) is None
    assert summarize([run()]) is None


def test_energy_is_per_inference() -> None:
    """At 2 W an inference of 1 ms takes 2 mJ, however much of the second went to inferences nobody measured."""
    summary = summarize([run(*[10**6] * 900, energy_j=2.0), run(*[10**6] * 450, energy_j=2.0), run(10**6)])
    assert summary
    assert summary.energy_mj == pytest.approx(2.0)


def test_the_interval_covers_the_truth_although_processes_differ() -> None:
    """Processes 2 % apart with 5 % noise within: an interval from pooled samples alone would cover a third."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        levels = 100 * rng.normal(1, 0.02, 8)
        samples = [rng.normal(level, 5, 400) for level in levels]
        interval = median_interval(samples, seed=seed)
        hits += interval.low <= 100 <= interval.high
    assert 170 <= hits <= 200
