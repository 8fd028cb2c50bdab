import gc
import time

import numpy as np
import pytest

from edgekit.check import latency
from edgekit.check.latency import CHECKPOINTS, MIN_ROUNDS, measure


def work_of(size):
    """One thread's work, in proportion to `size`."""
    array = np.linspace(0.0, 1.0, 1000 * size)
    return lambda: np.exp(array)


def test_half_the_work_is_half_the_time():
    work = work_of(40)

    def twice():
        work()
        work()

    found = measure({"once": work, "twice": twice}, "twice", budget_seconds=0.6)
    ratio = found["once"].ratio
    assert ratio.low <= ratio.estimate <= ratio.high
    assert ratio.estimate == pytest.approx(0.5, abs=0.12)
    assert found["twice"].ratio.estimate == 1.0
    assert found["once"].median_ms < found["once"].baseline_ms == found["twice"].median_ms


class Clock:
    """Time that only the runs themselves take, so that a busy machine cannot disturb the test."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def run_of(self, seconds):
        def run():
            self.now += seconds * (1 + 10 * self.now)

        return run


def test_a_machine_that_slows_down_does_not_fool_the_ratio(monkeypatch):
    """Both runs take three times as long after 0.2 s as at the start; their ratio stays."""
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    found = measure({"short": clock.run_of(0.003), "long": clock.run_of(0.006)}, "short", budget_seconds=1.0)
    assert clock.now > 0.2
    assert found["long"].ratio.estimate == pytest.approx(2.0, rel=0.15)


def test_slow_runs_still_get_their_rounds():
    found = measure({"slow": lambda: time.sleep(0.03)}, "slow", budget_seconds=0.01)
    assert found["slow"].rounds == MIN_ROUNDS


def test_budget_and_round_limit_hold():
    start = time.perf_counter()
    found = measure({"x": work_of(8), "y": work_of(8)}, "x", budget_seconds=0.3, threads=1)
    assert time.perf_counter() - start < 1.5
    assert found["x"].rounds <= CHECKPOINTS[-1]


def test_collector_is_switched_back_on():
    assert gc.isenabled()
    measure({"x": work_of(4)}, "x", budget_seconds=0.02)
    assert gc.isenabled()
