"""A benchmark or a gate on a terminal: the same tables as in the Markdown, and what must be known about them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgekit.report.bench.comparison import compared
from edgekit.report.bench.cost_table import tabulate
from edgekit.report.bench.gate_wording import (
    MARKS,
    describe_change,
    describe_limit,
    describe_value,
    subject_of,
    tally_of,
)
from edgekit.report.bench.quoting import reasons_against, refused
from edgekit.report.bench.verdict import headline_of, sentences_of, title_of
from edgekit.report.bench.wording import HEADINGS
from edgekit.report.terminal import show_findings
from edgekit.types.bench import BenchReport, Kind
from edgekit.types.gate import GateJudgement, GateReport, Verdict

COLUMNS = ("artifact", "configuration", "median", "interval", "p90", "peak RSS")
_VERDICTS = {Verdict.REGRESSED: "bold magenta", Verdict.UNDECIDED: "yellow", Verdict.IMPROVED: "blue"}
_TEXTS = 2
"""Columns of text that stand before those of numbers."""


def show_bench(report: BenchReport, console: Console) -> None:
    """Print a benchmark; index.html and report.md have the rest.

    Args:
        report: What to show.
        console: Where to.
    """
    console.print(Text.assemble((f"{title_of(report)}: ", "bold"), headline_of(report), "."))
    for sentence in sentences_of(report):
        console.print(Text(sentence))
    for device in report.devices:
        for kind in Kind:
            found = [entry for entry in report.measurements if (entry.device, entry.kind) == (device.name, kind)]
            if found:
                table = tabulate(report, found, COLUMNS)
                rows = [row.cells for row in table.rows]
                console.print()
                console.print(_table(f"{device.name}, {HEADINGS[kind]}", table.columns, rows))
    _show_trouble(report, console)


def show_gate(report: GateReport, console: Console) -> None:
    """Print a gate.

    Args:
        report: What to show.
        console: Where to.
    """
    headline = "gate passed" if report.passed else "gate failed"
    console.print(Text.assemble((f"{headline}: ", "bold" if report.passed else "bold magenta"), tally_of(report), "."))
    for artifact in dict.fromkeys(judgement.artifact for judgement in report.judgements):
        console.print()
        console.print(_judgements(artifact, [one for one in report.judgements if one.artifact == artifact]))
    if report.failed:
        console.print()
    for judgement in report.failed:
        reason = judgement.reason or f"{describe_change(judgement)} is beyond {describe_limit(judgement)}"
        console.print(Text(f"{judgement.artifact}, {subject_of(judgement)}: {reason}", "bold magenta"))


def _judgements(artifact: str, judgements: list[GateJudgement]) -> Table:
    """What was judged of one artifact."""
    table = Table(title=Text(artifact, "bold"), title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("measure", overflow="fold")
    for name in ("base", "head", "change", "limit"):
        table.add_column(name, justify="right")
    for judgement in judgements:
        where = f" on {judgement.device}" if judgement.device else ""
        cells = (
            f"{MARKS[judgement.verdict]} {judgement.verdict.value}",
            subject_of(judgement) + where,
            describe_value(judgement.base, judgement.unit),
            describe_value(judgement.head, judgement.unit),
            describe_change(judgement),
            describe_limit(judgement),
        )
        table.add_row(*map(Text, cells), style=_VERDICTS.get(judgement.verdict, ""))
    return table


def _show_trouble(report: BenchReport, console: Console) -> None:
    """Devices that failed, measurements that must not be used, outputs that differ, findings."""
    lines = [Text(f"{device.name}: {device.error}", "bold magenta") for device in report.devices if device.error]
    lines += [
        Text(f"not valid: {entry.artifact} on {entry.device}: {'; '.join(reasons_against(report, entry))}", "magenta")
        for entry in refused(report)
    ]
    for check in compared(report):
        if not check.equal and not check.error and check.device != check.reference:
            worst = max((int(lsb) for lsb in check.lsb), default=None)
            far = f"at most {worst} LSB" if worst is not None else f"at most {check.max_abs:.3g}"
            lines.append(Text(f"{check.artifact}: {check.device} computes other numbers than {check.reference}, {far}"))
    if lines or report.findings:
        console.print()
    for line in lines:
        console.print(line)
    show_findings(report.findings, console)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < _TEXTS else "right", no_wrap=number != 1)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
