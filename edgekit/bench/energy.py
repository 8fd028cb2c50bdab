"""Energy of a measurement from the sensors that were read meanwhile: counters where there are some, else power.

Both become one curve of joules over time. A counter gives it directly, once its wraps are undone; power gives it by
the trapezoid rule. What the readings do not cover is taken to go on at their mean, and half of it has to be covered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from edgekit.bench.probes.environment import read_sensors
from edgekit.bench.probes.power import EnergyCounter, read_counters
from edgekit.bench.probes.reading import number, reading_of

_LEAST_COVERED = 0.5

Curve = list[tuple[float, float]]


def measure_energy(
    sensors: Sequence[Mapping[str, Any]], *, begin_s: float | None = None, end_s: float | None = None
) -> float | None:
    """Joules that the device took between two moments.

    Args:
        sensors: Events "sensors" of one process.
        begin_s: Begin of the steady state on the clock of the events' "at_s", seconds; None is the first reading.
        end_s: Its end; None is the last reading.

    Returns:
        Joules; None without a readable rail or counter, with fewer than two readings, or when the readings cover less
        than half of the time.
    """
    timed = _by_time(sensors)
    curve = _of_counters(timed) or _of_power(timed)
    if len(curve) < 2:
        return None
    times, joules = np.array(curve).T
    begin = float(times[0]) if begin_s is None else begin_s
    end = float(times[-1]) if end_s is None else end_s
    low, high = max(begin, float(times[0])), min(end, float(times[-1]))
    if end <= begin or high - low < _LEAST_COVERED * (end - begin):
        return None
    covered = float(np.interp(high, times, joules)) - float(np.interp(low, times, joules))
    total = covered * ((end - begin) / (high - low))
    return total if math.isfinite(total) else None


def _by_time(sensors: Sequence[Mapping[str, Any]]) -> list[tuple[float, Mapping[str, Any]]]:
    """The events that have a time, in its order, each moment once."""
    found: dict[float, Mapping[str, Any]] = {}
    for event in sensors:
        at_s = number(event.get("at_s"))
        if at_s is not None:
            found[at_s] = event
    return sorted(found.items(), key=lambda pair: pair[0])


def _of_counters(timed: Sequence[tuple[float, Mapping[str, Any]]]) -> Curve:
    """Joules since the first reading, of the counters that every reading has; empty when there is none."""
    readings = [(at_s, read_counters(reading_of(event))) for at_s, event in timed]
    shared = set.intersection(*(set(counters) for _, counters in readings)) if readings else set()
    if not shared:
        return []
    curve = [(readings[0][0], 0.0)]
    for (_, before), (at_s, after) in pairwise(readings):
        steps = [_step(before[name], after[name]) for name in shared]
        known = [step for step in steps if step is not None]
        if len(known) < len(steps):
            return []
        curve.append((at_s, curve[-1][1] + sum(known)))
    return curve


def _step(before: EnergyCounter, after: EnergyCounter) -> float | None:
    """Joules from one value to the next, across at most one wrap; None when a smaller value is no wrap."""
    if after.joules >= before.joules:
        return after.joules - before.joules
    if after.range_j is None or before.joules > after.range_j:
        return None
    return after.range_j - before.joules + after.joules


def _of_power(timed: Sequence[tuple[float, Mapping[str, Any]]]) -> Curve:
    """Joules since the first reading that tells power."""
    watts = [(at_s, read_sensors(event)[2]) for at_s, event in timed]
    told = [(at_s, value) for at_s, value in watts if value is not None]
    curve = [(told[0][0], 0.0)] if told else []
    for (start, first), (stop, second) in pairwise(told):
        curve.append((stop, curve[-1][1] + (stop - start) * (first + second) / 2))
    return curve
