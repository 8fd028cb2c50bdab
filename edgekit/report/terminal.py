"""The report on a terminal: verdict, files, budget, ladder, host, findings, worst layers.

Whatever it says in colour it also says in words. Colours are blue, yellow and magenta, which people with any of the
common colour blindnesses tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from edgekit.report.files import MARKDOWN_NAME
from edgekit.report.host import tabulate_host
from edgekit.report.ladder_tables import describe_climb, gain, tabulate_budget
from edgekit.report.obstacles import describe_cost, explain_missed, worst
from edgekit.report.tables import NONE, Table, decibels, tabulate_files
from edgekit.report.training_tables import describe_training, tabulate_training
from edgekit.report.verdict import judge_report
from edgekit.types.finding import Finding, Severity
from edgekit.types.ladder import LadderReport
from edgekit.types.report import LayerQuality, Report
from edgekit.types.target import HostChoice
from edgekit.types.training_summary import TrainingSummary
from edgekit.units import share

SHOWN_LAYERS = 3
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_STYLES = {Severity.ERROR: "bold magenta", Severity.WARNING: "yellow", Severity.NOTE: "blue"}


def show_report(report: Report, console: Console) -> None:
    """Print the report; `report.md` has the rest.

    Args:
        report: What to show.
        console: Where to; its width decides the layout, its colour system the colours.
    """
    verdict = judge_report(report)
    console.print(Text.assemble((f"{report.model.name}: ", "bold"), (verdict.headline, _STYLES[verdict.severity])))
    console.print(Text(verdict.text))
    console.print()
    if report.training is not None:
        _show_training(report.training, console)
        console.print()
    show_files(report, console)
    if report.judgements:
        console.print()
        _show_budget(report, console)
    if report.ladder is not None and (len(report.ladder.steps) > 1 or report.judgements):
        console.print()
        _show_ladder(report.ladder, console)
    if report.host is not None:
        console.print()
        _show_host(report.host, console)
    findings = report.all_findings
    if findings:
        console.print()
        show_findings(findings, console)
    if report.check.layers:
        console.print()
        _show_layers(report, console)


def plain(text: str) -> str:
    """Text without control characters: what a file or a device said must not move the cursor."""
    return _CONTROL.sub("\ufffd", text)


def show_files(report: Report, console: Console) -> None:
    """A table where it fits, one block per file where it does not."""
    table = _table(tabulate_files(report, ends=False))
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
        console.print(table)
        return
    columns, rows = tabulate_files(report).columns, tabulate_files(report).rows
    for row in rows:
        console.print(Text(row[0], "bold"))
        cells = [f"{name} {cell}" for name, cell in zip(columns[1:], row[1:], strict=True) if cell != NONE]
        console.print(Padding(Text(", ".join(cells)), (0, 0, 0, 2)))


def show_findings(findings: Iterable[Finding], console: Console) -> None:
    """One paragraph each for errors and warnings: how grave in words, what was found, what to do. Notes are counted."""
    found = list(findings)
    notes = sum(finding.severity is Severity.NOTE for finding in found)
    for finding in found:
        if finding.severity is Severity.NOTE:
            continue
        message, hint = plain(finding.message), plain(finding.hint)
        console.print(Text.assemble((f"{finding.severity.value}: ", _STYLES[finding.severity]), message))
        if hint:
            console.print(Padding(Text(f"-> {hint}", "dim"), (0, 0, 0, 2)))
    if notes:
        console.print(Text(f"{notes} note{'s' * (notes > 1)} more in {MARKDOWN_NAME}", _STYLES[Severity.NOTE]))


def _show_budget(report: Report, console: Console) -> None:
    console.print(Text("Budget", "bold"))
    for limit, file, measured, result, note in tabulate_budget(report).rows:
        style = "" if result == "kept" else _STYLES[Severity.WARNING]
        told = "" if note == NONE else f" ({note})"
        console.print(Padding(Text(f"{result}: {limit}; {file} {measured}{told}", style), (0, 0, 0, 2)))
    for sentence in explain_missed(report):
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))


def _show_training(training: TrainingSummary, console: Console) -> None:
    """One line per step: what it was, and what the model costs and knows after it."""
    console.print(Text("Training", "bold"))
    for name, how, macs, fewer, parameters, top1, ratio, took in tabulate_training(training).rows:
        measured = f"{macs} MACs ({fewer}), {parameters} parameters{'' if top1 == NONE else f', top-1 {top1}'}"
        measured += f"{'' if ratio == NONE else f', int8 time {ratio}'}, {took}"
        console.print(Padding(Text(f"{name}{'' if how == NONE else f' ({how})'}: {measured}"), (0, 0, 0, 2)))
    console.print(Padding(Text(describe_training(training), "dim"), (0, 0, 0, 2)))


def _show_ladder(ladder: LadderReport, console: Console) -> None:
    """Rungs in order; those that were refused in few words."""
    console.print(Text("Accuracy ladder", "bold"))
    for step in ladder.steps:
        gained = gain(step.before, step.after)
        score = "" if step.after is None else f" {decibels(step.after.sqnr_db)}"
        more = "" if gained == NONE else f" ({gained})"
        kept = "" if step.kept else "not kept: "
        console.print(Padding(Text(f"{step.rung}{score}{more}: {kept}{step.outcome}"), (0, 0, 0, 2)))
    console.print(Padding(Text(describe_climb(ladder), "dim"), (0, 0, 0, 2)))


def _show_host(choice: HostChoice, console: Console) -> None:
    """Candidates in the order they were tried, then why one was taken."""
    console.print(Text("The file for this machine", "bold"))
    for name, sqnr, agreement, ratio, verdict in tabulate_host(choice).rows:
        measured = [
            sqnr,
            "" if agreement == NONE else f"same top-1 {agreement}",
            "" if ratio == NONE else f"time {ratio}",
        ]
        line = ", ".join(part for part in measured if part and part != NONE)
        console.print(Padding(Text(f"{name}: {verdict}{f' ({line})' if line else ''}"), (0, 0, 0, 2)))
    console.print(Padding(Text(choice.why, "dim"), (0, 0, 0, 2)))


def _show_layers(report: Report, console: Console) -> None:
    console.print(Text("Worst layers", "bold"))
    for layer in worst(report.check.layers, SHOWN_LAYERS):
        why = f": {'; '.join(layer.causes)}" if layer.causes else ""
        console.print(Padding(Text(f"{layer.label} {_rating(layer)}{why}"), (0, 0, 0, 2)))


def _rating(layer: LayerQuality) -> str:
    parts = [f"{decibels(layer.sqnr_db)} (inputs {decibels(layer.input_sqnr_db)})"]
    if layer.output_share is not None:
        parts.append(f"{share(layer.output_share)} of the output's noise")
    cost = describe_cost(layer)
    return ", ".join([*parts, *([f"in float {cost}"] if cost else [])])


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for index, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown
