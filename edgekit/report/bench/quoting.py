"""What of a benchmark may be quoted: asked here by the Markdown, the page and the exports alike.

A number is quoted only when its measurement is valid, and wall time only when it passed on real hardware: how long an
emulator takes says nothing about the machine it plays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgekit.types.bench import BenchReport, HistoryPoint, Kind, Measurement, Summary
from edgekit.types.interval import Interval

EMULATED = "wall time on an emulated device is no latency"


def is_emulated(report: BenchReport, device: str) -> bool:
    """Whether the device says so itself, or was asked for as an emulator."""
    return any(
        found.uri.startswith("qemu-") or any(state and state.emulated for state in (found.before, found.after))
        for found in report.devices
        if found.name == device
    )


def has_wall_time(report: BenchReport, device: str, kind: Kind) -> bool:
    """Whether wall times that came with such a measurement may be shown."""
    return kind is Kind.WALL_NS and not is_emulated(report, device)


def reasons_against(report: BenchReport, measurement: Measurement) -> tuple[str, ...]:
    """Why its numbers must not be quoted; empty when they may."""
    found = list(measurement.invalid)
    if measurement.kind is Kind.WALL_NS and is_emulated(report, measurement.device):
        found.append(EMULATED)
    if measurement.summary is None and not found:
        found.append("nothing was measured")
    if measurement.summary is not None and not _is_finite(measurement.summary.median):
        found.append("its median is no finite number")
    return tuple(found)


def _is_finite(interval: Interval) -> bool:
    return all(map(math.isfinite, (interval.estimate, interval.low, interval.high)))


def quoted(report: BenchReport, measurement: Measurement) -> Summary | None:
    """Its summary, when it may be quoted."""
    return None if reasons_against(report, measurement) else measurement.summary


def quotable(report: BenchReport, kind: Kind | None = None) -> Iterator[tuple[Measurement, Summary]]:
    """Measurements that may be quoted, with their summaries."""
    for measurement in report.measurements:
        summary = quoted(report, measurement)
        if summary is not None and kind in (None, measurement.kind):
            yield measurement, summary


def refused(report: BenchReport) -> tuple[Measurement, ...]:
    """Measurements that may not be quoted."""
    return tuple(found for found in report.measurements if reasons_against(report, found))


def quotable_history(report: BenchReport) -> tuple[HistoryPoint, ...]:
    """Earlier medians of what is in the report, without wall times of emulated devices."""
    artifacts, devices = ({entry.name for entry in group} for group in (report.artifacts, report.devices))
    return tuple(
        point
        for point in report.history
        if point.artifact in artifacts
        and point.device in devices
        and (point.kind is Kind.INSTRUCTIONS or not is_emulated(report, point.device))
    )


def overlap(first: Interval, second: Interval) -> bool:
    """Whether two medians cannot be told apart by their intervals."""
    return first.low <= second.high and second.low <= first.high
