"""What single measurements look like: distributions, the trade-off of size, accuracy and cost, operators, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from edgekit.report.bench.comparison import compared, steps_of
from edgekit.report.bench.cost_table import quality_of
from edgekit.report.bench.figure import Figure, Index, rounded
from edgekit.report.bench.quoting import has_wall_time, quotable
from edgekit.report.bench.wording import HEADINGS, NONE, UNITS, cost, in_unit
from edgekit.report.tables import Table
from edgekit.types.bench import BenchReport, Kind, Measurement, OperatorCost, Summary
from edgekit.units import share, size

QUANTILES = 400
"""Points of a distribution at most: one for every few pixels of a chart."""
SHOWN_OPERATORS = 24
TABLE_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
Pair = tuple[Measurement, Summary]


def distributions(report: BenchReport, kind: Kind) -> Iterator[Figure]:
    """A figure per device: how the costs of single inferences spread, a line per artifact and configuration."""
    index = Index.of(report)
    for device in report.devices:
        found = [entry for entry, _ in quotable(report, kind) if entry.device == device.name and _samples(entry).size]
        if not found:
            continue
        series = [
            {
                **index.series(entry.artifact, entry.device, entry.configuration),
                "quantiles": [rounded(in_unit(value, kind)) for value in thin(_samples(entry))],
            }
            for entry in found
        ]
        yield Figure(
            name=f"distribution-{kind.value}-{index.devices[device.name]}",
            form="distribution",
            title=f"{device.name}: {HEADINGS[kind]} of single inferences",
            note=f"{_READING[kind]} A steep line is a steady one.",
            data={"unit": UNITS[kind], "series": series},
            table=_quantile_table(found, kind),
        )


_READING = {
    Kind.WALL_NS: "The share of inferences that took at most this long.",
    Kind.INSTRUCTIONS: "The share of inferences that executed at most so many.",
}


def thin(samples: np.ndarray[Any, Any]) -> list[float]:
    """Samples in order, or `QUANTILES` evenly spaced quantiles of more; smallest and largest are always among them."""
    if samples.size <= QUANTILES:
        return [float(value) for value in np.sort(samples)]
    return [float(value) for value in np.quantile(samples, np.linspace(0, 1, QUANTILES))]


def trade_off(report: BenchReport, kind: Kind) -> Iterator[Figure]:
    """One figure: cost against quality, or against size where no quality is known; the front of each device marked.

    There is none without a choice between artifacts.
    """
    index, found = Index.of(report), list(quotable(report, kind))
    if len({entry.artifact for entry, _ in found}) < 2:
        return
    has_quality = all(report.artifact(entry.artifact).quality is not None for entry, _ in found)
    front = front_of(report, found)
    points = [
        {
            **index.series(entry.artifact, entry.device, entry.configuration),
            "cost": rounded(in_unit(summary.median.estimate, kind)),
            "size": report.artifact(entry.artifact).size_bytes,
            "quality": rounded(report.artifact(entry.artifact).quality) if has_quality else None,
            "front": entry in front,
            "group": f"{entry.device}, {entry.threads}, {entry.batch}",
        }
        for entry, summary in found
    ]
    names = sorted({report.artifact(entry.artifact).quality_name for entry, _ in found} - {""})
    upright = (" or ".join(names) or "quality") if has_quality else "size"
    yield Figure(
        name=f"trade-off-{kind.value}",
        form="trade-off",
        title=f"{upright[:1].upper()}{upright[1:]} against {HEADINGS[kind]}",
        note=(
            "Filled marks are on their device's front: no artifact there, run the same way, is at least as good in "
            "everything and better in something. "
            + ("The area of a mark is the size of the artifact." if has_quality else "Nobody measured the quality.")
        ),
        data={"unit": UNITS[kind], "upright": upright, "points": points},
        table=_trade_off_table(report, found, front),
    )


def front_of(report: BenchReport, found: Iterable[Pair]) -> list[Measurement]:
    """Measurements that no other of the same device, threads and batch beats in cost, size and quality together."""
    pairs = list(found)

    def dominates(first: Pair, second: Pair) -> bool:
        a, b = _aims(report, first), _aims(report, second)
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    def alike(first: Measurement, second: Measurement) -> bool:
        return (first.device, first.threads, first.batch) == (second.device, second.threads, second.batch)

    return [
        pair[0] for pair in pairs if not any(alike(other[0], pair[0]) and dominates(other, pair) for other in pairs)
    ]


def _aims(report: BenchReport, pair: Pair) -> tuple[float, float, float]:
    """What is to be small; a quality that nobody measured counts as none."""
    artifact = report.artifact(pair[0].artifact)
    return pair[1].median.estimate, float(artifact.size_bytes), -(artifact.quality or 0.0)


def operators(report: BenchReport) -> Iterator[Figure]:
    """One figure: where the time of a chosen measurement goes, by torch module or by operator type."""
    index = Index.of(report)
    found = [
        entry for entry, _ in quotable(report) if entry.operators and has_wall_time(report, entry.device, entry.kind)
    ]
    if not found:
        return
    choices = [
        {
            **index.series(entry.artifact, entry.device, entry.configuration),
            "modules": _bars(gather(entry.operators, by_module=True)),
            "types": _bars(gather(entry.operators, by_module=False)),
        }
        for entry in found
    ]
    rows = [
        (entry.artifact, entry.device, entry.configuration, name, f"{mean:,.1f} µs", share(part))
        for entry in found
        for name, mean, part in gather(entry.operators, by_module=True)
    ]
    yield Figure(
        name="operators",
        form="operators",
        title="Wall time per module",
        note="Mean over the middle half of the inferences, with the profiler's own cost. "
        "An operator of no known module stands in brackets.",
        data={"choices": choices},
        table=Table(("artifact", "device", "configuration", "module", "mean", "share"), tuple(rows)),
    )


def gather(costs: Iterable[OperatorCost], *, by_module: bool) -> list[tuple[str, float, float]]:
    """Operators of one module, or of one type, added up: (name, mean in µs, share), dearest first, the rest as one."""
    sums: dict[str, tuple[float, float]] = {}
    for found in costs:
        name = (found.module or f"({found.operator})") if by_module else found.operator
        mean, part = sums.get(name, (0.0, 0.0))
        sums[name] = mean + found.mean_us, part + found.share
    ordered = sorted(((name, *values) for name, values in sums.items()), key=lambda row: (-row[1], row[0]))
    shown, rest = ordered[:SHOWN_OPERATORS], ordered[SHOWN_OPERATORS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(row[1] for row in rest), sum(row[2] for row in rest)))
    return shown


def outputs(report: BenchReport) -> Iterator[Figure]:
    """One figure: how many output elements differ from the reference device's by how many LSB."""
    index = Index.of(report)
    found = [check for check in compared(report) if not check.error and not check.equal and steps_of(check)]
    if not found:
        return
    steps = sorted({step for check in found for step in steps_of(check)})
    series = [
        {
            **index.series(check.artifact, check.device, ""),
            "counts": [steps_of(check).get(step, 0) for step in steps],
        }
        for check in found
    ]
    rows = [(check.artifact, check.device, *(f"{steps_of(check).get(step, 0):,}" for step in steps)) for check in found]
    yield Figure(
        name="outputs",
        form="outputs",
        title="Difference from the reference device",
        note="Output elements by how many steps of the quantized output (LSB) they are off. The scale is logarithmic.",
        data={"steps": steps, "series": series},
        table=Table(("artifact", "device", *(f"{step:+d}" if step else "0" for step in steps)), tuple(rows)),
    )


def _samples(entry: Measurement) -> np.ndarray[Any, Any]:
    return np.array([value for run in entry.processes for value in run.samples], dtype=float)


def _quantile_table(found: list[Measurement], kind: Kind) -> Table:
    columns = ["p" + f"{part * 100:g}" for part in TABLE_QUANTILES]
    columns[0], columns[-1] = "smallest", "largest"
    rows = [
        (
            entry.artifact,
            entry.configuration,
            *(cost(float(value), kind) for value in np.quantile(_samples(entry), TABLE_QUANTILES)),
        )
        for entry in found
    ]
    return Table(("artifact", "configuration", *columns), tuple(rows))


def _trade_off_table(report: BenchReport, found: list[Pair], front: list[Measurement]) -> Table:
    rows = [
        (
            entry.artifact,
            entry.device,
            entry.configuration,
            cost(summary.median.estimate, entry.kind),
            size(report.artifact(entry.artifact).size_bytes),
            quality_of(report.artifact(entry.artifact)) or NONE,
            "yes" if entry in front else "no",
        )
        for entry, summary in found
    ]
    columns = ("artifact", "device", "configuration", "median", "size", "quality", "on the front")
    return Table(columns, tuple(rows))


def _bars(gathered: list[tuple[str, float, float]]) -> list[list[Any]]:
    return [[name, rounded(mean), rounded(part)] for name, mean, part in gathered]
