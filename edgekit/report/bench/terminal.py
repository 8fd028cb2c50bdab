"""A benchmark and a gate on a terminal: the answer first, then a line or a row per thing that was measured.

Whatever is said in colour is also said in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.measure import Measurement as Width
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgekit.report.bench.comparison import compared, largest
from edgekit.report.bench.cost_table import INVALID, TEXT_COLUMNS, tabulate
from edgekit.report.bench.gate_wording import MARKS, describe_change, describe_limit, subject_of, tally_of
from edgekit.report.bench.quoting import reasons_against, refused
from edgekit.report.bench.verdict import headline_of, sentences_of, title_of
from edgekit.report.bench.wording import HEADINGS, NONE
from edgekit.report.gfm import sentence
from edgekit.report.terminal import plain, show_findings
from edgekit.types.bench import BenchReport, Kind
from edgekit.types.gate import GateReport, Verdict

SHOWN = (*TEXT_COLUMNS, "median (interval)", "p90", "peak RSS", "size")
_GOOD, _BAD, _DOUBTFUL = "blue", "bold magenta", "yellow"
_STYLES = {
    Verdict.PASS: "",
    Verdict.IMPROVED: _GOOD,
    Verdict.REGRESSED: _BAD,
    Verdict.UNDECIDED: _DOUBTFUL,
    Verdict.SKIPPED: "",
}


def show_bench(report: BenchReport, console: Console) -> None:
    """Print the benchmark; report.md and index.html have the rest.

    Args:
        report: What to show.
        console: Where to; its width decides the layout.
    """
    style = _BAD if refused(report) or any(device.error for device in report.devices) else _GOOD
    console.print(_line((f"{title_of(report)}: ", "bold"), (headline_of(report), style)))
    for line in sentences_of(report):
        console.print(_line(line))
    for kind in Kind:
        found = [entry for entry in report.measurements if entry.kind is kind]
        if found:
            table = tabulate(report, found, SHOWN)
            console.print()
            console.print(_line((HEADINGS[kind].capitalize(), "bold")))
            _show_rows(table.columns, [row.cells for row in table.rows], console)
    problems = list(_problems(report))
    if problems:
        console.print()
    for word, text in problems:
        console.print(_line((f"{word}: ", _BAD), text))
    if report.findings:
        console.print()
        show_findings(report.findings, console)


def show_gate(report: GateReport, console: Console) -> None:
    """Print the gate: its answer, then a line per judgement, those that fail it first."""
    answer = ("Gate passed", _GOOD) if report.passed else ("Gate failed", _BAD)
    console.print(_line(answer, f": {report.head} against {report.base}, {tally_of(report)}."))
    failed = report.failed
    for judgement in (*failed, *(entry for entry in report.judgements if entry not in failed)):
        where = f" on {judgement.device}" if judgement.device else ""
        head = (f"{MARKS[judgement.verdict]} {judgement.verdict.value} ", _STYLES[judgement.verdict])
        text = f"{judgement.artifact}{where}, {subject_of(judgement)}: {describe_change(judgement)}"
        console.print(_line(head, text, f", limit {describe_limit(judgement)}"))
        if judgement.reason and judgement.verdict is not Verdict.PASS:
            console.print(Padding(_line(sentence(judgement.reason)), (0, 0, 0, 2)))


def _line(*parts: str | tuple[str, str]) -> Text:
    """Text in one line, without control characters."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((plain(text), style) for text, style in pairs))


def _problems(report: BenchReport) -> Iterator[tuple[str, str]]:
    """A word, and what it is about."""
    for device in report.devices:
        if device.error:
            yield "failed", f"{device.name}: {' '.join(map(sentence, filter(None, (device.error, device.hint))))}"
        for path in device.left_behind:
            yield "left behind", f"{device.name} still has {path}"
    for entry in refused(report):
        where = f"{entry.artifact} on {entry.device}, {entry.configuration}"
        yield INVALID if entry.complete else "partial", f"{where}: {'; '.join(reasons_against(report, entry))}"
    for check in compared(report):
        if not check.equal and not check.error:
            yield "differs", f"{check.artifact} on {check.device} from {check.reference}, by {largest(check)} at most"


def _show_rows(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], console: Console) -> None:
    """A table where it fits, one block per row where it does not."""
    found = list(rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="left" if name in TEXT_COLUMNS else "right", no_wrap=True)
    for row in found:
        table.add_row(*map(_line, row))
    if Width.get(console, console.options.update(max_width=10_000), table).maximum <= console.width:
        console.print(table)
        return
    for row in found:
        console.print(_line((", ".join(row[: len(TEXT_COLUMNS)]), "bold")))
        cells = zip(columns[len(TEXT_COLUMNS) :], row[len(TEXT_COLUMNS) :], strict=True)
        said = ", ".join(f"{name} {cell}" for name, cell in cells if cell != NONE)
        console.print(Padding(_line(said), (0, 0, 0, 2)))
