"""What lessens a measurement without spoiling it, as findings: each with a value and with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from statistics import median

from edgekit.bench.probes.battery import read_battery
from edgekit.bench.probes.cpu import describe_cores, read_kinds
from edgekit.bench.probes.environment import read_affinity, read_load
from edgekit.bench.probes.frequency import read_caps, read_frequencies, read_governor
from edgekit.bench.probes.jetson import read_largest_mode, read_power_mode
from edgekit.bench.probes.thermal import read_temperatures
from edgekit.bench.probes.throttling import read_throttling
from edgekit.bench.validity import Evidence, Watch
from edgekit.types.bench import Kind
from edgekit.types.finding import Finding, Severity
from edgekit.units import share

MOST_FREQUENCY_LOSS = 0.10
MOST_LOAD_PER_CORE = 0.5
MOST_SPREAD = 0.15
MOST_WARMING_C = 10.0


def find_doubts(evidence: Evidence) -> tuple[Finding, ...]:
    """What the reader of the measurement should know; nothing for counts of instructions, which none of it touches.

    Findings about the device name it in `where` and are the same for all of its measurements.
    """
    if evidence.kind is not Kind.WALL_NS or not evidence.watches:
        return ()
    return tuple(chain(_of_device(evidence), _of_run(evidence)))


def _of_device(evidence: Evidence) -> Iterator[Finding]:
    """How it was set up when the first process began."""
    where, first = evidence.device, evidence.watches[0].readings[0]
    governor = read_governor(first)
    if governor not in ("", "performance"):
        yield Finding(
            "governor-not-performance",
            f"the governor is {governor}: the clock follows the load",
            where=where,
            hint="echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    for core, (allowed, most) in list(read_caps(first).items())[:1]:
        yield Finding(
            "frequency-capped",
            f"{core} may run at {allowed:.0f} MHz of its {most:.0f} MHz",
            where=where,
            hint="let it cool down, or raise scaling_max_freq or the power mode",
        )
    mode, largest = read_power_mode(first), read_largest_mode(first)
    if mode and largest and mode != largest:
        yield Finding(
            "power-mode-not-largest",
            f"the power mode is {mode}, the largest is {largest}",
            where=where,
            hint="choose it with sudo nvpmodel -m and its number, then run sudo jetson_clocks",
        )
    if read_battery(first).feeding:
        yield Finding("on-battery", "the device runs from its battery", where=where, hint="connect its charger")
    limits = read_throttling(first).words
    if limits:
        yield Finding(
            "limited-before",
            f"the clock is limited, or was since the device started: {', '.join(limits)}",
            where=where,
            hint="check its power supply and its cooling, and restart it",
        )
    yield from _mixed_cores(evidence)


def _mixed_cores(evidence: Evidence) -> Iterator[Finding]:
    first = evidence.watches[0]
    cores = read_affinity(first.before)
    kinds = {core: kind for core, kind in read_kinds(first.readings[0]).items() if core in cores}
    if len(set(kinds.values())) > 1:
        yield Finding(
            "mixed-cores",
            f"threads may run on any of {describe_cores(kinds)}",
            where=evidence.device,
            hint="start it under taskset with cores of one kind",
        )


def _of_run(evidence: Evidence) -> Iterator[Finding]:
    """What happened while it ran."""
    where = evidence.where
    load, cores = read_load(evidence.watches[0].before), len(read_affinity(evidence.watches[0].before))
    if load is not None and cores and load > MOST_LOAD_PER_CORE * cores:
        yield Finding(
            "busy-before",
            f"the load was {load:.1f} on {cores} cores before the start",
            where=where,
            hint="end other programs there, or wait until they are done",
        )
    unsettled = sum(not run.stable for run in evidence.runs)
    if unsettled:
        yield Finding(
            "not-settled",
            f"{unsettled} of {len(evidence.runs)} processes had not settled when the warm-up ended",
            where=where,
            hint="give the warm-up more time",
        )
    medians = [median(run.samples) for run in evidence.runs if run.samples]
    if medians and min(medians) > 0 and max(medians) / min(medians) - 1 > MOST_SPREAD:
        yield Finding(
            "processes-disagree",
            f"the medians of the processes are up to {share(max(medians) / min(medians) - 1)} apart",
            where=where,
            hint="fix the governor, end other programs, or take more processes",
        )
    yield from _frequency_fell(evidence)
    yield from _warmed(evidence)


def _frequency_fell(evidence: Evidence) -> Iterator[Finding]:
    losses = [(low / high, high, low) for high, low in map(_frequencies, evidence.watches) if high > 0]
    rest, high, low = min(losses, default=(1.0, 0.0, 0.0))
    if rest < 1 - MOST_FREQUENCY_LOSS:
        yield Finding(
            "frequency-fell",
            f"the fastest core went from {high:.0f} to {low:.0f} MHz in one process",
            where=evidence.where,
            hint="cool the device, or measure for less long at a time",
        )


def _frequencies(watch: Watch) -> tuple[float, float]:
    """The fastest core at first and at its slowest after that, MHz; zeros when not told twice.

    Under load where that was seen twice: an idle core's clock before or after says little.
    """
    fastest = [max(read_frequencies(reading).values(), default=0.0) for reading in watch.readings]
    loaded = [value for value in fastest[1 : 1 + len(watch.sensors)] if value]
    told = loaded if len(loaded) > 1 else [value for value in fastest if value]
    return (told[0], min(told[1:])) if len(told) > 1 else (0.0, 0.0)


def _warmed(evidence: Evidence) -> Iterator[Finding]:
    first = read_temperatures(evidence.watches[0].readings[0])
    rises = [
        (celsius - first[sensor], sensor, celsius)
        for watch in evidence.watches
        for reading in watch.readings
        for sensor, celsius in read_temperatures(reading).items()
        if sensor in first
    ]
    rise, sensor, celsius = max(rises, default=(0.0, "", 0.0))
    if rise > MOST_WARMING_C:
        yield Finding(
            "warmed-up",
            f"{sensor} rose by {rise:.0f} °C to {celsius:.0f} °C",
            severity=Severity.NOTE,
            where=evidence.where,
            hint="cool the device, or take the sustained mode for what lasts",
        )
