"""The verdict: whether to ship these files, in a sentence or two, before any table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgekit.report.tables import decibels
from edgekit.types.artifact import FLOAT
from edgekit.types.finding import Severity
from edgekit.types.report import ArtifactCheck, Report
from edgekit.units import share, size


@dataclass(frozen=True)
class Verdict:
    """What to think of a run.

    Attributes:
        severity: That of the worst finding; NOTE when there is nothing to worry about.
        headline: A few words.
        text: What was gained and what it cost.
    """

    severity: Severity
    headline: str
    text: str


_HEADLINES = {
    Severity.NOTE: "Ready to ship",
    Severity.WARNING: "Usable; read the warnings first",
    Severity.ERROR: "Do not ship yet",
}


def judge_report(report: Report) -> Verdict:
    """Sum a report up."""
    present = {finding.severity for finding in report.all_findings}
    worst = next((level for level in (Severity.ERROR, Severity.WARNING) if level in present), Severity.NOTE)
    entries = [entry for entry in report.check.artifacts if entry.artifact.format != FLOAT]
    running = [entry for entry in entries if not entry.error]
    count = f"{len(running)} of {len(entries)} {_kind(entries)} files"
    text = f"{count} run and were compared with the float model on this machine."
    if running:
        text = f"{text} {_gain(report, running)}"
    headline = _HEADLINES[worst]
    if report.missed and worst is not Severity.ERROR:
        worst, headline = Severity.WARNING, "Best found, below the budget"
    return Verdict(worst, headline, text)


def _kind(entries: list[ArtifactCheck]) -> str:
    int4 = bool(entries) and all(str(entry.artifact.format).endswith("int4") for entry in entries)
    return "int4" if int4 else "int8"


def _gain(report: Report, running: list[ArtifactCheck]) -> str:
    best = min(running, key=lambda entry: entry.latency.ratio.estimate if entry.latency else 1e9)
    parts = [f"{best.artifact.path.name} has {size(best.artifact.size_bytes)} ({share(best.size_ratio)} of float)"]
    signal = best.signal
    if signal is not None and signal.top1_agreement is not None:
        parts.append(
            f"chooses the float model's class on {share(signal.top1_agreement.estimate)} of {signal.samples} samples"
        )
    elif signal is not None and signal.sqnr_db is not None and not math.isnan(signal.sqnr_db):
        parts.append(f"holds {decibels(signal.sqnr_db)} of its output")
    if best.latency is not None:
        parts.append(f"takes {best.latency.ratio.estimate:.2f} of the float ONNX file's time")
    if best.accuracy is not None:
        points = best.accuracy.difference.estimate * 100
        parts.append(f"is {points:+.1f} points in accuracy ({best.accuracy.samples} labelled samples)")
    others = f" Fastest here of {len(running)}." if len(running) > 1 and best.latency else ""
    return f"{', '.join(parts)}.{others}"
