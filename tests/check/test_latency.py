import gc
import time

import numpy as np
import pytest

from edgekit.check.latency import MAX_ROUNDS, MIN_ROUNDS, measure


def multiply(size):
    left = np.ones((size, size), np.float32)
    return lambda: left @ left


def test_half_the_work_is_half_the_time():
    work = multiply(96)

    def twice():
        work()
        work()

    found = measure({"once": work, "twice": twice}, "twice", budget_seconds=0.6)
    ratio = found["once"].ratio
    assert ratio.low <= ratio.estimate <= ratio.high
    assert ratio.estimate == pytest.approx(0.5, abs=0.12)
    assert found["twice"].ratio.estimate == 1.0
    assert found["once"].median_ms < found["once"].baseline_ms == found["twice"].median_ms


def test_a_drifting_clock_does_not_fool_the_ratio():
    """Both runs slow down together, as on a machine that throttles; the ratio stays."""
    calls = {"a": 0, "b": 0}

    def sleeper(name, factor):
        def run():
            calls[name] += 1
            time.sleep(factor * 0.0005 * (1 + calls[name] / 20))

        return run

    found = measure({"a": sleeper("a", 1), "b": sleeper("b", 2)}, "a", budget_seconds=0.8)
    assert found["b"].ratio.estimate == pytest.approx(2.0, rel=0.15)


def test_slow_runs_still_get_their_rounds():
    found = measure({"slow": lambda: time.sleep(0.03)}, "slow", budget_seconds=0.01)
    assert found["slow"].rounds == MIN_ROUNDS


def test_budget_and_round_limit_hold():
    start = time.perf_counter()
    found = measure({"x": multiply(8), "y": multiply(8)}, "x", budget_seconds=0.3, threads=1)
    assert time.perf_counter() - start < 1.5
    assert found["x"].rounds <= MAX_ROUNDS


def test_collector_is_switched_back_on():
    assert gc.isenabled()
    measure({"x": multiply(4)}, "x", budget_seconds=0.02)
    assert gc.isenabled()
