"""Whether a measurement may be quoted: what makes its numbers wrong, judged from what the agent saw.

Evidence is every process with the events before, during and after it; the device is not asked again. What lessens a
measurement without spoiling it is in `doubts.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgekit.bench.probes.environment import read_affinity, read_environment
from edgekit.bench.probes.reading import Reading, number, reading_of
from edgekit.bench.probes.throttling import read_throttling, throttled_during
from edgekit.types.bench import Kind, ProcessRun

MIN_PROCESSES = 5
"""Of wall time; counts of instructions scatter by parts in ten thousand, and one process tells them."""
MOST_CLOCK_DRIFT = 0.01
"""Share of a process's time by which the wall clock and the monotonic clock may part."""
MOST_CLOCK_JUMP_S = 1.0
LEAST_CLOCK_JUMP_S = 0.05
"""Below it nothing is a jump: the clocks are read one after the other, and a process may have to wait in between."""


@dataclass(frozen=True)
class Watch:
    """What the agent of one process saw of its device.

    Attributes:
        before: Event "environment" before.
        after: Event "environment" after; None when the device was lost.
        sensors: Events "sensors" in between, in order.
    """

    before: Mapping[str, Any]
    after: Mapping[str, Any] | None = None
    sensors: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """Of all events, in the order of time; the first is of before."""
        return tuple(reading_of(event) for event in (self.before, *self.sensors, self.after) if event is not None)


@dataclass(frozen=True)
class Evidence:
    """What one measurement is judged by.

    Attributes:
        kind: What it counts.
        threads: Threads of the runtime.
        min_runs: Inferences that every process has to measure.
        runs: What each process measured.
        watches: What each process saw, in the order of time.
        emulated: Why the transport knows its device to be an emulator; "" when it does not.
        complete: False when the device was lost before all processes had run.
        device: Its name, for findings about the device.
        where: What findings about the measurement name, for example "model.onnx on pi5, cpu, 1 thread".
    """

    kind: Kind
    threads: int
    min_runs: int
    runs: tuple[ProcessRun, ...]
    watches: tuple[Watch, ...]
    emulated: str = ""
    complete: bool = True
    device: str = ""
    where: str = ""


def invalid_reasons(evidence: Evidence) -> tuple[str, ...]:
    """Why the measurement must not be used, each reason once; empty when it may.

    An emulator, a limited clock and a clock that jumps spoil times only, not counts of instructions.
    """
    of_time = (_emulated, _throttled, _clock_jumped) if evidence.kind is Kind.WALL_NS else ()
    rules = (*of_time, _on_other_cores, _too_little)
    return tuple(dict.fromkeys(reason for rule in rules for reason in rule(evidence)))


def _emulated(evidence: Evidence) -> Iterator[str]:
    seen = (read_environment(watch.before).emulated for watch in evidence.watches)
    why = evidence.emulated or next(filter(None, seen), "")
    if why:
        yield f"emulated time is no latency: {why}"


def _throttled(evidence: Evidence) -> Iterator[str]:
    for watch in evidence.watches:
        for how in throttled_during([read_throttling(reading) for reading in watch.readings]):
            yield f"clock limited during the run: {how}"


def _clock_jumped(evidence: Evidence) -> Iterator[str]:
    for watch in evidence.watches:
        wall, steady = _seconds(watch, "wall_ns"), _seconds(watch, "monotonic_ns")
        if wall is None or steady is None:
            continue
        allowed = min(MOST_CLOCK_JUMP_S, max(LEAST_CLOCK_JUMP_S, MOST_CLOCK_DRIFT * abs(steady)))
        if abs(wall - steady) > allowed:
            yield f"clock jumped: {wall:.2f} s passed by the wall clock, {steady:.2f} s by the monotonic clock"


def _on_other_cores(evidence: Evidence) -> Iterator[str]:
    events = (event for watch in evidence.watches for event in (watch.before, watch.after) if event is not None)
    told = [cores for cores in map(read_affinity, events) if cores]
    for cores in told[1:]:
        if cores != told[0]:
            yield f"affinity changed from cores {_listed(told[0])} to {_listed(cores)}"
    fewest = min(map(len, told), default=evidence.threads)
    if fewest < evidence.threads:
        yield f"threads: {evidence.threads}, cores for them: {fewest}"


def _too_little(evidence: Evidence) -> Iterator[str]:
    if not evidence.complete:
        yield "device lost: only a part was measured"
    least = MIN_PROCESSES if evidence.kind is Kind.WALL_NS else 1
    if len(evidence.runs) < least:
        yield f"processes: {len(evidence.runs)}, at least {least} {'are' if least > 1 else 'is'} needed"
    fewest, needed = min((len(run.samples) for run in evidence.runs), default=0), max(1, evidence.min_runs)
    if fewest < needed:
        yield f"inferences in a process: {fewest}, at least {needed} are needed"


def _seconds(watch: Watch, clock: str) -> float | None:
    """Between before and after by one of the two clocks; None when one of them was not told."""
    if watch.after is None:
        return None
    first, last = number(watch.before.get(clock), scale=1e-9), number(watch.after.get(clock), scale=1e-9)
    return None if first is None or last is None else last - first


def _listed(cores: tuple[int, ...]) -> str:
    return ", ".join(map(str, cores))
