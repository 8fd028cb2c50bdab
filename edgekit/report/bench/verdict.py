"""A benchmark in a few sentences: how much of it is valid, and which file is fastest on each device."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.report.bench.quoting import overlap, quotable
from edgekit.report.bench.wording import amount, cost
from edgekit.types.bench import BenchReport, Kind, Measurement, Summary


@dataclass(frozen=True)
class Best:
    """The cheapest measurement of a device.

    Attributes:
        device: Name of the device.
        measurement: The cheapest by its median.
        summary: Its summary.
        level_with: Other files of the same kind whose intervals overlap, cheapest first.
        slowest: Dearest measurement of another file with as many threads; None without one.
        ratio: Its median over the cheapest; 1 without one.
    """

    device: str
    measurement: Measurement
    summary: Summary
    level_with: tuple[str, ...]
    slowest: Measurement | None
    ratio: float


def title_of(report: BenchReport) -> str:
    """What was measured on how much."""
    return f"{amount(len(report.artifacts), 'artifact')} on {amount(len(report.devices), 'device')}"


def headline_of(report: BenchReport) -> str:
    """How much of it may be used, in a sentence without its full stop."""
    total, valid = len(report.measurements), sum(1 for _ in quotable(report))
    failed = sum(bool(device.error) for device in report.devices)
    text = f"{valid} of {amount(total, 'measurement')} {'is' if valid == 1 else 'are'} valid"
    if not total:
        text = "Nothing was measured"
    elif valid == total:
        text = "The measurement is valid" if total == 1 else f"All {total} measurements are valid"
    return text if not failed else f"{text}, {amount(failed, 'device')} failed"


def best_of(report: BenchReport, device: str, kind: Kind) -> Best | None:
    """The cheapest valid measurement on a device; None without one."""
    found = sorted(
        ((entry, summary) for entry, summary in quotable(report, kind) if entry.device == device),
        key=lambda pair: pair[1].median.estimate,
    )
    if not found:
        return None
    best, summary = found[0]
    others = [(entry, other) for entry, other in found[1:] if entry.artifact != best.artifact]
    level = [entry.artifact for entry, other in others if overlap(summary.median, other.median)]
    alike = [pair for pair in others if (pair[0].threads, pair[0].batch) == (best.threads, best.batch)]
    ratio = alike[-1][1].median.estimate / summary.median.estimate if alike and summary.median.estimate else 1.0
    return Best(device, best, summary, tuple(dict.fromkeys(level)), alike[-1][0] if alike else None, ratio)


def sentences_of(report: BenchReport) -> tuple[str, ...]:
    """One sentence per device and kind, in the order of the devices."""
    found = [best_of(report, device.name, kind) for device in report.devices for kind in Kind]
    return tuple(_sentence(best) for best in found if best is not None)


def _sentence(best: Best) -> str:
    entry = best.measurement
    wall = entry.kind is Kind.WALL_NS
    value = cost(best.summary.median.estimate, entry.kind) + ("" if wall else " instructions")
    start = f"On {best.device}, {entry.artifact} {'is fastest' if wall else 'executes fewest instructions'}"
    if best.level_with:
        names = " and ".join((entry.artifact, *best.level_with))
        start = f"On {best.device}, {names} cannot be told apart"
    text = f"{start}: {value} ({entry.configuration})"
    if best.slowest is None or best.slowest.artifact in best.level_with or best.ratio < 1.005:
        return f"{text}."
    return f"{text}; {best.slowest.artifact} takes {best.ratio:.2f} times as {'long' if wall else 'many'}."
