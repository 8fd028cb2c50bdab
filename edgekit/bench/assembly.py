"""From what visits brought to the measurements of a report: samples summed up, states judged, outputs compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgekit.bench.answers import Answers
from edgekit.bench.doubts import find_doubts
from edgekit.bench.energy import measure_energy
from edgekit.bench.jobs import COUNTED_RUNS
from edgekit.bench.outputs import GoldenOutputs
from edgekit.bench.probes.environment import read_environment, read_sensors
from edgekit.bench.probes.reading import number
from edgekit.bench.statistics import summarize
from edgekit.bench.validity import Evidence, Watch, invalid_reasons
from edgekit.bench.visit import Take, Visit
from edgekit.types.bench import (
    BenchArtifact,
    BenchSettings,
    DeviceReport,
    Kind,
    Measurement,
    ProcessRun,
    SustainedPoint,
    configuration_of,
)
from edgekit.types.finding import Finding, Severity

SUSTAINED_POINTS = 120
"""Intervals a sustained run is cut into, at most."""


def measurement_of(take: Take, visit: Visit, settings: BenchSettings, emulated: str) -> Measurement:
    """One measurement from the processes of a take.

    Args:
        take: The artifact in one configuration.
        visit: The visit it belongs to; something was measured in it.
        settings: How the benchmark was taken.
        emulated: Why the device's wall time is no latency; "" for real hardware.
    """
    assert visit.kind is not None
    evidence = evidence_of(take, visit, settings, emulated)
    return Measurement(
        artifact=take.file.artifact.name,
        device=visit.name,
        kind=visit.kind,
        provider=take.subject.provider,
        threads=take.subject.threads,
        batch=take.subject.batch,
        processes=evidence.runs,
        summary=summarize(evidence.runs, seed=settings.seed),
        invalid=(take.refusal,) if take.refusal else invalid_reasons(evidence),
        operators=take.profile.operators.get(0, ()) if take.profile else (),
        sustained=sustained_points(take.sustained) if take.sustained else (),
        complete=take.complete,
    )


def evidence_of(take: Take, visit: Visit, settings: BenchSettings, emulated: str) -> Evidence:
    """What a measurement is judged by; a process that measured nothing is no evidence."""
    assert visit.kind is not None
    measured = [answers for answers in take.answers if answers.samples.get(0)]
    name = f"{take.file.artifact.name} on {visit.name}"
    return Evidence(
        kind=visit.kind,
        threads=take.subject.threads,
        min_runs=COUNTED_RUNS if visit.kind is Kind.INSTRUCTIONS else settings.min_runs,
        runs=tuple(process_run(answers) for answers in measured),
        watches=tuple(
            Watch(answers.before, answers.after, tuple(answers.sensors)) for answers in measured if answers.before
        ),
        emulated=emulated,
        complete=take.complete,
        device=visit.name,
        where=f"{name}, {configuration_of(take.subject.provider, take.subject.threads, take.subject.batch)}",
    )


def process_run(answers: Answers) -> ProcessRun:
    """What one process of a single subject measured."""
    return ProcessRun(
        samples=tuple(answers.samples.get(0, ())),
        import_ns=answers.import_ns,
        load_ns=answers.load_ns.get(0, 0),
        first_ns=answers.first_ns.get(0, 0),
        warmup_runs=answers.warmup_runs.get(0, 0),
        stable=answers.stable.get(0, False),
        peak_rss_bytes=answers.peak_rss_bytes,
        seconds=answers.seconds,
        energy_j=measure_energy(answers.sensors, begin_s=answers.begin_s, end_s=answers.begin_s + answers.seconds),
    )


def sustained_points(answers: Answers) -> tuple[SustainedPoint, ...]:
    """The long run in intervals of equal length; readings of the sensors go to the interval they were taken in."""
    samples = np.asarray(answers.samples.get(0, ()), np.float64)
    if samples.size == 0:
        return ()
    ends = np.cumsum(samples) / 1e9
    width = max(1.0, float(ends[-1]) / SUSTAINED_POINTS)
    places = np.minimum((ends / width).astype(np.int64), int(ends[-1] / width))
    moments = [(number(event.get("at_s")), event) for event in answers.sensors]
    readings = [(at, read_sensors(event)) for at, event in moments if at is not None]
    points = []
    for place in np.unique(places):
        inside = samples[places == place]
        near = [values for at, values in readings if place * width <= at < (place + 1) * width]
        temperature, frequency, power = (_highest([values[kind] for values in near]) for kind in range(3))
        end = float(ends[places == place][-1])
        points.append(SustainedPoint(end, float(np.median(inside)), int(inside.size), temperature, frequency, power))
    return tuple(points)


def device_report(visit: Visit, uri: str, left_behind: tuple[str, ...]) -> DeviceReport:
    """What the report says of a device."""
    states = [answers for answers in visit.all_answers() if answers.before]
    ends = [answers.after for answers in states if answers.after]
    return DeviceReport(
        uri=uri,
        name=visit.name,
        before=read_environment(states[0].before or {}) if states else None,
        after=read_environment(ends[-1]) if ends else None,
        error=str(visit.error) if visit.error else "",
        hint=visit.error.hint if visit.error else "",
        left_behind=left_behind,
    )


def with_measured_quality(artifact: BenchArtifact, golden: Sequence[GoldenOutputs]) -> BenchArtifact:
    """The artifact with the share of labelled samples that a device got right, where it ran any; the first counts."""
    found = next((one.top1 for one in golden if one.artifact == artifact.name and one.top1 is not None), None)
    if found is None:
        return artifact
    return replace(artifact, quality=found, quality_name="top-1", quality_source="measured on the device")


def findings_about(visit: Visit, settings: BenchSettings, emulated: str, left: Sequence[str]) -> Iterator[Finding]:
    """What the user should know about a device and what was measured on it, each once."""
    doubts = [
        finding
        for take in visit.takes
        if take.answers and not take.refusal
        for finding in find_doubts(evidence_of(take, visit, settings, emulated))
    ]
    yield from _gathered(doubts, visit.name)
    yield from _unprofiled(visit)
    if visit.kind is None and visit.error is None:
        yield Finding(
            "emulated-correctness-only",
            f"{visit.name} is an emulator: it computed the golden outputs, and its time was not measured",
            Severity.NOTE,
            visit.name,
        )
    for place in left:
        yield Finding(
            "left-on-device",
            f"{place} could not be removed from {visit.name}",
            where=visit.name,
            hint="remove it by hand",
        )


def _gathered(findings: Sequence[Finding], device: str) -> Iterator[Finding]:
    """Each once; what is true of several measurements is about their device."""
    places: dict[Finding, list[str]] = {}
    for finding in findings:
        places.setdefault(replace(finding, where=""), []).append(finding.where)
    for finding, where in places.items():
        yield replace(finding, where=device if len(set(where)) > 1 else where[0])


def _unprofiled(visit: Visit) -> Iterator[Finding]:
    for take in visit.takes:
        reason = take.profile.unprofiled.get(0, "") if take.profile else ""
        if reason:
            yield Finding(
                "no-profile", f"no costs per operator of {take.file.artifact.name}: {reason}", Severity.NOTE, visit.name
            )


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
