"""The verdict of a gate as a comment under a pull request: the answer first, then a row per judgement."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.report import gfm
from edgekit.report.bench.gate_wording import (
    MARKS,
    describe_change,
    describe_limit,
    describe_value,
    subject_of,
    tally_of,
)
from edgekit.report.bench.wording import NONE
from edgekit.types.gate import GateJudgement, GateReport, Measure, Verdict

COLUMNS = ("verdict", "artifact", "device", "measure", "base", "head", "change", "limit", "reason")


def render_gate_markdown(report: GateReport) -> str:
    """The gate as GitHub-flavoured Markdown, ending in a newline."""
    return "\n".join((*_verdict(report), *_failures(report), *_judgements(report))).rstrip() + "\n"


def _verdict(report: GateReport) -> Iterator[str]:
    yield f"## {'✓ Gate passed' if report.passed else '✗ Gate failed'}"
    yield ""
    yield f"{gfm.code_span(report.head)} against {gfm.code_span(report.base)}: **{tally_of(report)}**."
    if any(judgement.verdict is Verdict.UNDECIDED for judgement in report.judgements):
        yield f"Undecided judgements {'fail' if report.fail_on_undecided else 'do not fail'} this gate."
    yield ""


def _failures(report: GateReport) -> Iterator[str]:
    for judgement in report.failed:
        where = f" on {gfm.code_span(judgement.device)}" if judgement.device else ""
        subject = gfm.escape(subject_of(judgement))
        yield (
            f"- {MARKS[judgement.verdict]} {gfm.code_span(judgement.artifact)}{where}, {subject}: "
            f"**{gfm.escape(describe_change(judgement))}**, limit {describe_limit(judgement)}"
        )
    if report.failed:
        yield ""


def _judgements(report: GateReport) -> Iterator[str]:
    if not report.judgements:
        return
    yield from gfm.rows(COLUMNS, map(_cells, report.judgements), left=(*COLUMNS[:4], "reason"))
    yield ""
    yield "Change: head over base, less 1; for accuracy head less base. In brackets its confidence interval."
    if any(judgement.measure is Measure.INSTRUCTIONS for judgement in report.judgements):
        yield "Instructions are counted, not timed."


def _cells(judgement: GateJudgement) -> tuple[str, ...]:
    return (
        f"{MARKS[judgement.verdict]} {judgement.verdict.value}",
        gfm.code_span(judgement.artifact),
        gfm.code_span(judgement.device) if judgement.device else NONE,
        gfm.escape(subject_of(judgement)),
        describe_value(judgement.base, judgement.unit),
        describe_value(judgement.head, judgement.unit),
        describe_change(judgement),
        describe_limit(judgement),
        gfm.escape(judgement.reason) or NONE,
    )
