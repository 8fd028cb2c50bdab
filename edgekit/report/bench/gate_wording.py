"""What a gate found in words, for the Markdown, JUnit and the terminal alike."""

from __future__ import annotations

from collections import Counter

from edgekit.report.bench.wording import NONE, millis
from edgekit.types.gate import GateJudgement, GateReport, Measure, Verdict
from edgekit.units import count, share, size

MARKS = {
    Verdict.PASS: "✓",
    Verdict.IMPROVED: "▼",
    Verdict.REGRESSED: "✗",
    Verdict.UNDECIDED: "?",
    Verdict.SKIPPED: "–",
}
"""Simple marks; the word always stands beside them."""


def tally_of(report: GateReport) -> str:
    """How many judgements came to what, for example "3 passed, 1 regressed"."""
    counts = Counter(judgement.verdict for judgement in report.judgements)
    words = {Verdict.PASS: "passed"}
    parts = [f"{counts[verdict]} {words.get(verdict, verdict.value)}" for verdict in Verdict if counts[verdict]]
    return ", ".join(parts) or "nothing was compared"


def describe_change(judgement: GateJudgement) -> str:
    """The change with its interval where it has one, for example "+7.2 % (+6.6 to +7.9)"."""
    change = judgement.change
    if change is None:
        return NONE
    unit = "points" if judgement.measure is Measure.ACCURACY else "%"
    if change.low == change.high:
        return f"{_signed(change.estimate)} {unit}"
    return f"{_signed(change.estimate)} {unit} ({_signed(change.low)} to {_signed(change.high)})"


def describe_limit(judgement: GateJudgement) -> str:
    """What the change may be."""
    if judgement.measure is Measure.ACCURACY:
        return f"-{judgement.limit * 100:g} point{'' if judgement.limit == 0.01 else 's'}"
    return f"+{judgement.limit * 100:g} %"


def describe_value(value: float | None, unit: str) -> str:
    """Base or head in its own unit."""
    if value is None:
        return NONE
    if unit == "ms":
        return f"{millis(value)} ms"
    if unit == "B":
        return size(round(value))
    return share(value) if unit == "share" else count(value)


def subject_of(judgement: GateJudgement) -> str:
    """What was compared, for example "wall time, cpu, 1 thread"."""
    return ", ".join(part for part in (judgement.measure.value, judgement.configuration) if part)


def _signed(part: float) -> str:
    """A share in percent, with the digits that tell it from 0: "+7.20", "-0.0004"."""
    percent = part * 100
    digits = 2 if abs(percent) >= 0.01 or percent == 0 else 4
    return f"{percent:+.{digits}f}"
