"""What changes with time: the sustained mode over minutes, medians over revisions."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.report.bench.figure import Figure, Index, rounded
from edgekit.report.bench.quoting import has_wall_time, quotable_history
from edgekit.report.bench.wording import HEADINGS, NONE, UNITS, cost, in_unit, millis
from edgekit.report.tables import Table
from edgekit.types.bench import BenchReport, HistoryPoint, Kind, SustainedPoint

SHOWN_POINTS = 400
"""Of a long run; every so many are shown when there are more."""
Line = tuple[str, str]
"""Artifact and configuration."""


def sustained(report: BenchReport) -> Iterator[Figure]:
    """A figure per long run: latency, temperature and clock over time.

    A run that throttled is shown although its measurement may be invalid: this is where one sees it.
    """
    index = Index.of(report)
    for number, entry in enumerate(report.measurements):
        if not entry.sustained or not has_wall_time(report, entry.device, entry.kind):
            continue
        points = entry.sustained[:: -(-len(entry.sustained) // SHOWN_POINTS)]
        data = {
            **index.series(entry.artifact, entry.device, entry.configuration),
            "seconds": [rounded(point.at_s) for point in points],
            "latency": [rounded(point.median_ns / 1e6) for point in points],
            "temperature": [rounded(point.temperature_c) for point in points],
            "clock": [rounded(point.frequency_mhz) for point in points],
            "power": [rounded(point.power_w) for point in points],
        }
        yield Figure(
            name=f"sustained-{number}",
            form="sustained",
            title=f"{entry.artifact} on {entry.device}, {entry.configuration}",
            note=_drift(entry.sustained),
            data={"series": [data]},
            table=Table(
                ("at", "median", "inferences", "temperature", "clock", "power"), tuple(map(_sustained_cells, points))
            ),
        )


def _drift(points: tuple[SustainedPoint, ...]) -> str:
    """First and last interval in words."""
    first, last = points[0], points[-1]
    text = f"From {millis(first.median_ns / 1e6)} ms to {millis(last.median_ns / 1e6)} ms after {last.at_s:,.0f} s"
    heats = [point.temperature_c for point in points if point.temperature_c is not None]
    return f"{text}; hottest {max(heats):.1f} °C." if heats else f"{text}."


def _sustained_cells(point: SustainedPoint) -> tuple[str, ...]:
    return (
        f"{point.at_s:,.0f} s",
        f"{millis(point.median_ns / 1e6)} ms",
        f"{point.runs:,}",
        NONE if point.temperature_c is None else f"{point.temperature_c:.1f} °C",
        NONE if point.frequency_mhz is None else f"{point.frequency_mhz:,.0f} MHz",
        NONE if point.power_w is None else f"{point.power_w:.1f} W",
    )


def history(report: BenchReport, kind: Kind) -> Iterator[Figure]:
    """A figure per device: medians over revisions, a line per artifact and configuration, changes of level marked."""
    index = Index.of(report)
    for device in report.devices:
        found = [point for point in quotable_history(report) if (point.device, point.kind) == (device.name, kind)]
        if not found:
            continue
        moments = sorted({(point.at, point.revision) for point in found})
        lines: dict[Line, dict[tuple[str, str], HistoryPoint]] = {}
        for point in found:
            lines.setdefault((point.artifact, point.configuration), {})[point.at, point.revision] = point
        series = [
            {
                **index.series(artifact, device.name, configuration),
                "values": [rounded(in_unit(line[at].value, kind)) if at in line else None for at in moments],
                "changes": [place for place, at in enumerate(moments) if at in line and line[at].change],
            }
            for (artifact, configuration), line in lines.items()
        ]
        yield Figure(
            name=f"history-{kind.value}-{index.devices[device.name]}",
            form="history",
            title=f"{device.name}: median {HEADINGS[kind]} over revisions",
            note="A large mark begins a new level.",
            data={
                "unit": UNITS[kind],
                "revisions": [revision or at[:10] for at, revision in moments],
                "dates": [at[:16].replace("T", " ") for at, _ in moments],
                "series": series,
            },
            table=_history_table(moments, lines, kind),
        )


def _history_table(
    moments: list[tuple[str, str]], lines: dict[Line, dict[tuple[str, str], HistoryPoint]], kind: Kind
) -> Table:
    """Revisions downwards, newest first."""

    def cell(point: HistoryPoint | None) -> str:
        if point is None:
            return NONE
        return cost(point.value, kind) + (", new level" if point.change else "")

    columns = ("revision", "when", *(f"{artifact}, {configuration}" for artifact, configuration in lines))
    rows = [(at[1] or NONE, at[0], *(cell(line.get(at)) for line in lines.values())) for at in reversed(moments)]
    return Table(columns, tuple(rows))
