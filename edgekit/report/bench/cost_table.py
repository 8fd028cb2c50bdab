"""The measurements as rows of text, for the Markdown and the page alike: what each cell says is decided once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgekit.report.bench.quoting import has_wall_time, quoted
from edgekit.report.bench.wording import NONE, cost, cost_with_interval, ends, millis
from edgekit.types.bench import BenchArtifact, BenchReport, Measurement
from edgekit.units import share, size

INVALID = "invalid"
Cell = Callable[[BenchReport, Measurement], str]
TEXT_COLUMNS = ("artifact", "device", "configuration")
BRIEF = ("artifact", "configuration", "median (interval)", "p90", "p99", "size", "peak RSS", "quality")
"""For a pull request, a table per device."""
COSTS = (*TEXT_COLUMNS, "median", "interval", "p90", "p99", "minimum", "spread", "size", "quality")
"""For the page."""
RESOURCES = (*TEXT_COLUMNS, "import", "load", "first run", "peak RSS", "energy", "samples")
"""For the page, of measurements of both kinds: nothing here is a cost."""


@dataclass(frozen=True)
class CostRow:
    """One measurement.

    Attributes:
        measurement: Which.
        cells: One per column.
    """

    measurement: Measurement
    cells: tuple[str, ...]


@dataclass(frozen=True)
class CostTable:
    """Measurements of one kind.

    Attributes:
        columns: Headings.
        rows: As many cells as columns each.
    """

    columns: tuple[str, ...]
    rows: tuple[CostRow, ...]


def tabulate(report: BenchReport, measurements: Iterable[Measurement], names: tuple[str, ...] = COSTS) -> CostTable:
    """A row per measurement; columns in which nothing was measured are left out.

    The costs of a measurement that may not be quoted are not there, its median says so.
    """
    found = list(measurements)
    cells = {name: [_CELLS[name](report, entry) for entry in found] for name in names}
    kept = tuple(name for name in names if any(cells[name]) or name in TEXT_COLUMNS)
    rows = (CostRow(entry, tuple(cells[name][index] or NONE for name in kept)) for index, entry in enumerate(found))
    return CostTable(kept, tuple(rows))


def quality_of(artifact: BenchArtifact) -> str:
    """The task metric and its name; "" when nobody measured it."""
    if artifact.quality is None:
        return ""
    return f"{share(artifact.quality)} {artifact.quality_name}".rstrip()


def _median(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return cost(summary.median.estimate, entry.kind) if summary else INVALID


def _median_with_interval(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return cost_with_interval(summary.median, entry.kind) if summary else INVALID


def _interval(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return ends(summary.median, entry.kind) if summary else ""


def _percentile(name: str) -> Cell:
    def cell(report: BenchReport, entry: Measurement) -> str:
        summary = quoted(report, entry)
        value = getattr(summary, name) if summary else None
        return "" if value is None else cost(value, entry.kind)

    return cell


def _start(name: str) -> Cell:
    """Import, load and first inference are wall times, whatever the measurement counts."""

    def cell(report: BenchReport, entry: Measurement) -> str:
        summary = quoted(report, entry)
        shown = summary is not None and has_wall_time(report, entry.device, entry.kind)
        return f"{millis(getattr(summary, name))} ms" if shown else ""

    return cell


def _spread(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    if summary is None:
        return ""
    digits = 1 if summary.spread >= 0.001 or summary.spread == 0 else 4
    return f"{summary.spread * 100:.{digits}f} %"


def _samples(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return f"{summary.samples:,} in {summary.processes}" if summary else ""


def _energy(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return f"{millis(summary.energy_mj)} mJ" if summary and summary.energy_mj is not None else ""


def _memory(report: BenchReport, entry: Measurement) -> str:
    summary = quoted(report, entry)
    return size(summary.peak_rss_bytes) if summary else ""


_CELLS: dict[str, Cell] = {
    "artifact": lambda _, entry: entry.artifact,
    "device": lambda _, entry: entry.device,
    "configuration": lambda _, entry: entry.configuration,
    "median": _median,
    "median (interval)": _median_with_interval,
    "interval": _interval,
    "p90": _percentile("p90"),
    "p99": _percentile("p99"),
    "minimum": _percentile("minimum"),
    "spread": _spread,
    "samples": _samples,
    "import": _start("import_ms"),
    "load": _start("load_ms"),
    "first run": _start("first_ms"),
    "energy": _energy,
    "peak RSS": _memory,
    "size": lambda report, entry: size(report.artifact(entry.artifact).size_bytes),
    "quality": lambda report, entry: quality_of(report.artifact(entry.artifact)),
}
"""Heading -> what a measurement says there; "" for nothing."""
