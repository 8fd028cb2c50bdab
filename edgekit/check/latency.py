"""Latency of several files against one of them, in turns within one process.

Machines speed up and slow down; timing A for a while and then B measures the machine. Here every round runs each
file once, in an order that rotates, and only ratios within a round are compared. The numbers say what this machine
did at batch 1; they predict no other machine.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from edgekit.check.intervals import bootstrap_median
from edgekit.types.qparams import Array
from edgekit.types.report import Latency

MIN_TURN_SECONDS = 0.0005
"""Shorter runs are repeated within their turn, so that the clock's own cost stays below a percent."""
MIN_ROUNDS = 3
CHECKPOINTS = (15, 25, 40, 60, 90, 140, 200)
"""Rounds after which precision is looked at; the last of them ends the measurement."""
PRECISION = 0.03
"""Stop early once every ratio's interval is narrower than this share of the ratio, to each side."""

Run = Callable[[], object]


def measure(
    runs: Mapping[str, Run], baseline: str, *, budget_seconds: float = 4.0, threads: int = 1
) -> dict[str, Latency]:
    """Time each run against the baseline run.

    Args:
        runs: name -> one inference; called many times.
        baseline: Which of `runs` the ratios divide by.
        budget_seconds: Wall time to spend; exceeded only when `MIN_ROUNDS` rounds take longer.
        threads: Threads each runtime was given, for the record.

    Returns:
        name -> Latency for every run, the baseline itself included (ratio 1).
    """
    deadline = time.perf_counter() + budget_seconds
    repeats = {name: _warm_up(run, budget_seconds / (10 * len(runs))) for name, run in runs.items()}
    rounds: list[list[float]] = []
    with _quiet_collector():
        while not _is_enough(rounds, list(runs).index(baseline), deadline):
            rounds.append(_run_round(runs, repeats, turn=len(rounds)))
    times = np.array(rounds) * 1e3
    reference = times[:, list(runs).index(baseline)]
    return {
        name: Latency(
            median_ms=float(np.median(times[:, column])),
            baseline_ms=float(np.median(reference)),
            ratio=bootstrap_median(times[:, column] / reference),
            baseline=baseline,
            rounds=len(rounds),
            threads=threads,
        )
        for column, name in enumerate(runs)
    }


def _warm_up(run: Run, seconds: float) -> int:
    """Run for a while, at least twice (the first call allocates), and choose how often a turn repeats the run."""
    run()
    fastest = math.inf
    deadline = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end >= deadline:
            return max(1, math.ceil(MIN_TURN_SECONDS / max(fastest, 1e-7)))


def _run_round(runs: Mapping[str, Run], repeats: Mapping[str, int], *, turn: int) -> list[float]:
    """Seconds per inference of every run, in the order of `runs`; the order of running rotates with `turn`."""
    names = list(runs)
    seconds = dict.fromkeys(names, 0.0)
    shift = turn % len(names)
    order = names[shift:] + names[:shift]
    for name in order if (turn // len(names)) % 2 == 0 else reversed(order):
        run, count = runs[name], repeats[name]
        start = time.perf_counter()
        for _ in range(count):
            run()
        seconds[name] = (time.perf_counter() - start) / count
    return [seconds[name] for name in names]


def _is_enough(rounds: list[list[float]], baseline: int, deadline: float) -> bool:
    if len(rounds) < MIN_ROUNDS:
        return False
    if len(rounds) >= CHECKPOINTS[-1] or time.perf_counter() >= deadline:
        return True
    if len(rounds) not in CHECKPOINTS:
        return False
    times = np.array(rounds)
    return all(_is_precise(times[:, column] / times[:, baseline]) for column in range(times.shape[1]))


def _is_precise(ratios: Array) -> bool:
    interval = bootstrap_median(ratios)
    reach = max(interval.high - interval.estimate, interval.estimate - interval.low)
    return reach <= PRECISION * interval.estimate


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """No garbage collection inside a measurement."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
