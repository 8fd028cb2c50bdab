"""How often a history without a change is said to have one, and how often a planted change is found.

    python -m benchmarks.change_points

Each series is a made-up history of medians around one level: noise of 1, 2 or 3 % (standard deviation, of the
logarithm) in five shapes. "normal"; "heavy tails" (Student's t, 3 degrees of freedom); "slow runs" (one in twenty is
slower by an exponential of four standard deviations); "uneven" (the deviation itself changes every ten runs, by a
log-normal factor of 0.5); "drift" (AR(1), each run resembling the one before by 0.5 or 0.8). A change counts as found
when one is reported at most five runs off.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

import numpy as np

from benchmarks import table
from edgekit.bench.change_points import find_changes
from edgekit.types.qparams import Array

DEVIATIONS = (0.01, 0.02, 0.03)
LENGTHS = (20, 50, 100, 200)
TOLERANCE = 5

Draw = Callable[[np.random.Generator, int], Array]
"""Noise of n runs, standard deviation about 1."""


def _slow_runs(random: np.random.Generator, count: int) -> Array:
    return 0.7 * random.standard_normal(count) + (random.random(count) < 0.05) * random.exponential(4, count)


def _uneven(random: np.random.Generator, count: int) -> Array:
    factors = np.exp(random.normal(0, 0.5, math.ceil(count / 10)))
    return random.standard_normal(count) * np.repeat(factors, 10)[:count]


def _drift(memory: float) -> Draw:
    def draw(random: np.random.Generator, count: int) -> Array:
        fresh = random.standard_normal(count)
        found = np.empty(count)
        found[0] = fresh[0]
        for run in range(1, count):
            found[run] = memory * found[run - 1] + math.sqrt(1 - memory**2) * fresh[run]
        return found

    return draw


NOISES: dict[str, Draw] = {
    "normal": lambda random, count: random.standard_normal(count),
    "heavy tails": lambda random, count: random.standard_t(3, count) / math.sqrt(3),
    "slow runs": _slow_runs,
    "uneven": _uneven,
    "drift 0.5": _drift(0.5),
    "drift 0.8": _drift(0.8),
}
PLANTED: dict[str, tuple[str, float, int | None]] = {
    f"{noise}, {step:.0%}, {'in the middle' if last is None else f'in the last {last} runs'}": (noise, step, last)
    for noise, last in (("normal", None), ("normal", 5), ("drift 0.5", None))
    for step in (0.03, 0.05, 0.1)
}


def main() -> None:
    """Draw, search, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="series per cell [1000]")
    count = parser.parse_args().series
    alarms = {name: _cells(lambda *cell, noise=name: _alarms(count, noise, *cell)) for name in NOISES}
    found = {name: _cells(lambda *cell, plan=plan: _found(count, plan, *cell)) for name, plan in PLANTED.items()}
    data = {"series": count, "false_alarms": alarms, "found": found}
    text = "\n\n".join(
        (_tabulate(f"false alarms, % of {count} series", alarms, 1), _tabulate("planted change found, %", found, 0))
    )
    print(text)
    table.keep("change_points", data, text)


def _cells(rate: Callable[..., float]) -> dict[str, list[float]]:
    """Rate of every length, at each deviation."""
    return {str(length): [rate(length, deviation) for deviation in DEVIATIONS] for length in LENGTHS}


def _alarms(count: int, noise: str, length: int, deviation: float) -> float:
    """Share of series without a change that are said to have one."""
    random = np.random.default_rng([length, round(deviation * 1000)])
    wrong = sum(bool(find_changes(_history(random, noise, length, deviation))) for _ in range(count))
    print(f"{noise}, {length} runs, {deviation:.0%}: {wrong} of {count}", file=sys.stderr, flush=True)
    return wrong / count


def _found(count: int, plan: tuple[str, float, int | None], length: int, deviation: float) -> float:
    """Share of planted changes that are found."""
    noise, step, last = plan
    start = length - (length // 2 if last is None else last)
    random = np.random.default_rng([length, round(deviation * 1000), 1])
    hits = 0
    for _ in range(count):
        history = _history(random, noise, length, deviation)
        history[start:] *= 1 + step
        hits += any(abs(change.index - start) <= TOLERANCE for change in find_changes(history))
    print(f"{plan}, {length} runs, {deviation:.0%}: {hits} of {count}", file=sys.stderr, flush=True)
    return hits / count


def _history(random: np.random.Generator, noise: str, length: int, deviation: float) -> Array:
    return np.exp(deviation * NOISES[noise](random, length))


def _tabulate(title: str, rates: dict[str, dict[str, list[float]]], digits: int) -> str:
    rows = [
        [name, *(" / ".join(f"{100 * rate:.{digits}f}" for rate in cells[str(length)]) for length in LENGTHS)]
        for name, cells in rates.items()
    ]
    return table.markdown((title, *(f"{length} runs" for length in LENGTHS)), rows)


if __name__ == "__main__":
    main()
