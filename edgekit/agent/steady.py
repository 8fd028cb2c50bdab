"""The measurement itself: warm-up until the inference has settled, then every subject in turns.

With one subject this is plain repetition. With two it is an A/B comparison within one process: a turn of each per
round, in an order that reverses from round to round, so that what drifts hits both alike.
"""

from __future__ import annotations

import gc
import math
import time

from edgekit.agent.counters import INSTRUCTIONS, own_cost
from edgekit.agent.events import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from edgekit.agent.sensing import Sensors

    Run = Callable[[], object]
    Counter = Callable[[], int]

_WINDOW_NS = 50_000_000
_WINDOW_RUNS = 5
_SETTLED = 0.02
"""Two windows in a row whose medians part by less than this share of the one before."""
_FLUSH_NS = 500_000_000
_SETTLE_BELOW_NS = 20_000_000
"""Where subjects alternate, a turn begins with one unmeasured inference, which finds the caches of another; longer
inferences have no use for it."""


def measure(runs: Sequence[Run], counter: Counter, plan: Mapping[str, Any], sensors: Sensors) -> None:
    """Warm every subject up and measure it; events go to the host.

    Args:
        runs: One inference of each subject.
        counter: See `open_counter`.
        plan: The job's "steady".
        sensors: Read between rounds.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        if plan["kind"] == INSTRUCTIONS:
            _count(runs, counter, plan)
        else:
            sizes = [_warm_up(number, run, plan) for number, run in enumerate(runs)]
            _take_turns(runs, counter, plan, sizes, sensors)
    finally:
        if was_on:
            gc.enable()


def _count(runs: Sequence[Run], counter: Counter, plan: Mapping[str, Any]) -> None:
    """A fixed number of inferences: a count needs no rest, and a few settle what is allocated once."""
    cost = own_cost(counter)
    for number, run in enumerate(runs):
        for _ in range(int(plan["warmup_runs"])):
            run()
        tell("warm", subject=number, runs=int(plan["warmup_runs"]), stable=True)
        values: list[int] = []
        take(run, counter, int(plan["min_runs"]), values)
        tell("samples", subject=number, per_turn=1, values=[value - cost for value in values])


def take(run: Run, counter: Counter, count: int, into: list[int]) -> None:
    """Measure `count` inferences one by one; what is recorded holds one reading's cost and nothing else."""
    for _ in range(count):
        start = counter()
        run()
        into.append(counter() - start)


def _warm_up(number: int, run: Run, plan: Mapping[str, Any]) -> int:
    """Run until two windows in a row have the median of the one before; the median of the last, nanoseconds."""
    clock = time.perf_counter_ns
    deadline = clock() + int(plan["warmup_s"] * 1e9)
    medians: list[float] = []
    done = 0
    stable = False
    while not stable:
        values: list[int] = []
        end = clock() + _WINDOW_NS
        while len(values) < _WINDOW_RUNS or clock() < end:
            take(run, clock, 1, values)
        done += len(values)
        medians.append(sorted(values)[len(values) // 2])
        recent = medians[-3:]
        stable = len(recent) == 3 and all(abs(b / a - 1) < _SETTLED for a, b in zip(recent, recent[1:]))
        if clock() >= deadline:
            break
    tell("warm", subject=number, runs=done, stable=stable)
    return int(medians[-1])


def _take_turns(
    runs: Sequence[Run], counter: Counter, plan: Mapping[str, Any], sizes: Sequence[int], sensors: Sensors
) -> None:
    """Rounds of one turn each until the time is over; samples are told twice a second, between rounds."""
    clock = time.perf_counter_ns
    alone = len(runs) == 1
    per_turn = 1 if alone else max(1, math.ceil(plan["turn_s"] * 1e9 / max(sizes)))
    settle = not alone and max(sizes) < _SETTLE_BELOW_NS
    order = list(range(len(runs)))
    kept: list[list[int]] = [[] for _ in runs]
    taken = 0
    sensors.look(due=True)
    begin_s = sensors.now()
    began = told = clock()
    deadline = began + int(plan["duration_s"] * 1e9 * len(runs))
    while taken < plan["max_runs"] and (taken < plan["min_runs"] or clock() < deadline):
        for number in order:
            run = runs[number]
            if settle:
                run()
            take(run, counter, per_turn, kept[number])
        order.reverse()
        taken += per_turn
        if clock() - told > _FLUSH_NS:
            _tell_samples(kept, per_turn)
            sensors.look()
            for run in runs:
                run()
            told = clock()
    seconds = (clock() - began) / 1e9
    sensors.look(due=True)
    _tell_samples(kept, per_turn)
    tell("steady", begin_s=begin_s, seconds=seconds)


def _tell_samples(kept: list[list[int]], per_turn: int) -> None:
    for number, values in enumerate(kept):
        if values:
            tell("samples", subject=number, per_turn=per_turn, values=values)
            values.clear()
