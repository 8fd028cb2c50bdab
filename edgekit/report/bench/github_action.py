"""The `customSmallerIsBetter` JSON of github-action-benchmark: medians of valid measurements, and sizes.

Format: a list of {name, unit, value, range, extra}, https://github.com/benchmark-action/github-action-benchmark
"""

from __future__ import annotations

import json
from typing import Any

from edgekit.report.bench.quoting import quotable
from edgekit.report.bench.wording import HEADINGS, UNITS, cost, in_unit
from edgekit.types.bench import BenchReport, Kind, Measurement, Summary


def render_github_action(report: BenchReport) -> str:
    """One entry per valid measurement, and one per file for its size; ends in a newline.

    Names stay the same from run to run as long as artifacts, devices and configurations keep theirs.
    """
    entries = [_entry(report, found, summary) for found, summary in quotable(report)]
    entries += [
        {"name": f"{artifact.name}, size", "unit": "B", "value": artifact.size_bytes, "extra": artifact.digest}
        for artifact in report.artifacts
    ]
    return json.dumps(entries, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _entry(report: BenchReport, found: Measurement, summary: Summary) -> dict[str, Any]:
    median = summary.median
    lines = [
        f"{summary.samples} samples in {summary.processes} processes",
        f"minimum {cost(summary.minimum, found.kind)}",
    ]
    percentiles = (("p90", summary.p90), ("p99", summary.p99))
    lines += [f"{name} {cost(value, found.kind)}" for name, value in percentiles if value is not None]
    lines += [f"{report.artifact(found.artifact).runtime}, sha256 {report.artifact(found.artifact).digest}"]
    return {
        "name": f"{found.artifact} on {found.device} ({found.configuration}), {HEADINGS[found.kind]}",
        "unit": UNITS[found.kind],
        "value": _number(median.estimate, found.kind),
        "range": f"{_number(median.low, found.kind)} to {_number(median.high, found.kind)}",
        "extra": "\n".join(lines),
    }


def _number(value: float, kind: Kind) -> float:
    """Six digits of a time; a count to the last one, for there even that tells two versions apart."""
    return float(f"{in_unit(value, kind):.6g}") if kind is Kind.WALL_NS else round(value)
