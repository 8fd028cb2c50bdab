"""The report on a terminal: verdict, files, findings. Whatever it says in colour it also says in words.

Colours are blue, yellow and magenta, which people with any of the common colour blindnesses tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from edgekit.report.files import MARKDOWN_NAME
from edgekit.report.tables import NONE, Table, tabulate_files, tabulate_layers
from edgekit.report.verdict import judge_report
from edgekit.types.finding import Finding, Severity
from edgekit.types.report import Report

SHOWN_LAYERS = 3
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
    show_files(report, console)
    findings = report.all_findings
    if findings:
        console.print()
        show_findings(findings, console)
    if report.check.layers:
        console.print()
        _show_layers(report, console)


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
        line = Text.assemble((f"{finding.severity.value}: ", _STYLES[finding.severity]), finding.message)
        console.print(line)
        if finding.hint:
            console.print(Padding(Text(f"-> {finding.hint}", "dim"), (0, 0, 0, 2)))
    if notes:
        console.print(Text(f"{notes} note{'s' * (notes > 1)} more in {MARKDOWN_NAME}", _STYLES[Severity.NOTE]))


def _show_layers(report: Report, console: Console) -> None:
    console.print(Text("Worst layers", "bold"))
    for layer in tabulate_layers(report.check.layers[:SHOWN_LAYERS]).rows:
        label, sqnr, inputs, *_, causes = layer
        why = f": {causes}" if causes != NONE else ""
        console.print(Padding(Text(f"{label} {sqnr} (inputs {inputs}){why}"), (0, 0, 0, 2)))


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for index, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown
