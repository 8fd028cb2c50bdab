"""The body of the page: tables of costs, outputs and environments, figures with their tables, and how it was taken."""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.report.bench.comparison import COLUMNS, cells_of
from edgekit.report.bench.cost_table import COSTS, INVALID, RESOURCES, TEXT_COLUMNS, CostRow, CostTable, tabulate
from edgekit.report.bench.elements import Html, breakable, element
from edgekit.report.bench.figure import Figure, Index
from edgekit.report.bench.quoting import quotable, reasons_against
from edgekit.report.bench.sections import dot, mark, runtimes_of
from edgekit.report.bench.state import tabulate_state
from edgekit.report.bench.wording import HEADINGS, NONE
from edgekit.report.tables import Table
from edgekit.types.bench import BenchReport, DeviceReport, Kind
from edgekit.units import size

_FIGURE_TEXT = (*TEXT_COLUMNS, "module", "revision", "when")
"""Columns of a figure's table that are text."""


def results(report: BenchReport) -> Html:
    """A table per kind, for wall time and instructions never stand in one column; then what is no cost."""
    panels = []
    for kind in Kind:
        found = [entry for entry in report.measurements if entry.kind is kind]
        if found:
            panels.append(_cost_panel(report, tabulate(report, found, COSTS), HEADINGS[kind].capitalize()))
    valid = [entry for entry, _ in quotable(report)]
    if valid:
        panels.append(_cost_panel(report, tabulate(report, valid, RESOURCES), "Start, memory and energy"))
    return element("div", panels, class_="cards one")


def _cost_panel(report: BenchReport, table: CostTable, title: str) -> Html:
    rows = [_cost_row(report, table.columns, row) for row in table.rows]
    return element(
        "div", element("h3", title), scroll(_table(table.columns, rows, text=TEXT_COLUMNS), title), class_="panel"
    )


def _cost_row(report: BenchReport, columns: tuple[str, ...], row: CostRow) -> Html:
    entry, index = row.measurement, Index.of(report)
    cells = []
    for name, text in zip(columns, row.cells, strict=True):
        content: Html | str | list[Html | str] = text
        if name == "artifact":
            content = [dot(index.artifacts[entry.artifact]), breakable(text)]
        elif name == "device":
            content = [mark(index.devices[entry.device], class_="dot"), text]
        elif text == INVALID:
            content = element("span", text, class_="tag bad")
        style = "t" if name in TEXT_COLUMNS else "main" if name == "median" else "muted" if name == "interval" else None
        cells.append(_cell(name, content, style))
    runtime = runtimes_of(report).index(report.artifact(entry.artifact).runtime)
    void = "void" if reasons_against(report, entry) else None
    return element("tr", cells, class_=void, data_device=index.devices[entry.device], data_runtime=runtime)


def figures(found: Iterable[Figure], *, wide: bool = False) -> Html:
    """Figures side by side where there is room."""
    return element("div", [_figure(figure, wide=wide) for figure in found], class_="grid")


def _figure(figure: Figure, *, wide: bool) -> Html:
    """A chart for those who see it, the same as a table for everyone; without a script the table alone."""
    canvas = element("canvas", role="img", aria_label=f"{figure.title}. {figure.note}")
    text = element("div", element("h3", figure.title), element("p", figure.note, class_="note"))
    rows = [_plain_row(figure.table, row) for row in figure.table.rows]
    table = _table(figure.table.columns, rows, text=_FIGURE_TEXT)
    data = element("details", element("summary", "Data"), scroll(table, figure.title), class_="figures", open=True)
    return element(
        "figure",
        element("header", text),
        element("div", class_="controls", hidden=True),
        element("div", canvas, class_="canvas"),
        element("ul", class_="legend", aria_label="Lines of the chart"),
        data,
        class_="panel wide" if wide else "panel",
        id=figure.name,
        data_chart=figure.form,
    )


def _plain_row(table: Table, row: tuple[str, ...]) -> Html:
    cells = zip(table.columns, row, strict=True)
    return element("tr", [element("td", cell, class_="t" if name in _FIGURE_TEXT else None) for name, cell in cells])


def outputs(report: BenchReport) -> Html:
    """What each device computed from the golden inputs."""
    index, left = Index.of(report), COLUMNS[:4]
    rows = []
    for check in report.outputs:
        texts = dict(zip(COLUMNS, cells_of(check), strict=True))
        word: Html | str = texts["outputs"]
        if not check.error and check.device != check.reference:
            word = element("span", word, class_=f"tag {'good' if check.equal else 'warn'}")
        content: dict[str, Html | str | list[Html | str]] = {
            **texts,
            "artifact": [dot(index.artifacts[check.artifact]), breakable(check.artifact)],
            "device": [mark(index.devices[check.device], class_="dot"), check.device],
            "outputs": word,
            "sha256": element("code", texts["sha256"]),
        }
        styles = {"outputs": "t wrap"} | {name: "t" for name in left if name != "outputs"}
        cells = [_cell(name, content[name], styles.get(name)) for name in COLUMNS]
        runtime = runtimes_of(report).index(report.artifact(check.artifact).runtime)
        rows.append(element("tr", cells, data_device=index.devices[check.device], data_runtime=runtime))
    return element("div", scroll(_table(COLUMNS, rows, text=left), "Outputs compared"), class_="panel")


def _cell(name: str, content: Html | str | list[Html | str], style: str | None) -> Html:
    """The artifact heads its row."""
    if name == "artifact":
        return element("th", content, class_=style, scope="row")
    return element("td", content, class_=style)


def environments(report: BenchReport) -> Html:
    """A table per device: before the first measurement and after the last."""
    panels = [_environment(number, device) for number, device in enumerate(report.devices)]
    return element("div", panels, class_="grid")


def _environment(number: int, device: DeviceReport) -> Html:
    rows = []
    for row in tabulate_state(device):
        cells = [element("th", row.label, class_="t", scope="row")]
        if row.before == row.after:
            cells.append(element("td", row.before, class_="t wrap", colspan=2))
        else:
            tone = "t wrap changed" if row.changed else "t wrap"
            cells += [element("td", row.before, class_="t wrap"), element("td", row.after, class_=tone)]
        rows.append(element("tr", cells))
    heading = element("h3", mark(number, class_="dot"), device.name)
    address = element("p", element("code", device.uri), class_="note muted")
    table = _table(("", "before", "after"), rows, text=("", "before", "after"))
    body = scroll(table, f"Environment of {device.name}") if rows else element("p", "Not reached.", class_="nothing")
    return element("div", heading, address, body, class_="panel", data_device=number)


def method(report: BenchReport) -> Html:
    """Settings, files and the command that repeats it."""
    settings = report.settings
    parts = []
    if report.command:
        words = [[element("span", word, class_="word"), " "] for word in report.command.split()]
        parts.append(element("pre", words))
    facts = [
        ("Processes per measurement", str(settings.processes)),
        (
            "Steady state of each",
            f"{settings.duration_s:g} s, {settings.min_runs:,} to {settings.max_runs:,} inferences",
        ),
        ("Warm-up", f"until stable, {settings.warmup_s:g} s at most"),
        ("Threads", ", ".join(map(str, settings.threads))),
        ("Batch", str(settings.batch)),
        ("Providers", ", ".join(settings.providers)),
        ("Sustained mode", f"{settings.sustained_s:g} s" if settings.sustained_s else "not asked for"),
        ("Seed", str(settings.seed)),
        ("Version", f"edgekit {report.version}"),
    ]
    parts.append(element("dl", [(element("dt", name), element("dd", value)) for name, value in facts], class_="facts"))
    rows = [
        element(
            "tr",
            element("th", dot(number), artifact.file, class_="t", scope="row"),
            element("td", artifact.runtime, class_="t"),
            element("td", size(artifact.size_bytes)),
            element("td", artifact.quality_source or NONE, class_="t"),
            element("td", element("code", artifact.digest), class_="t"),
        )
        for number, artifact in enumerate(report.artifacts)
    ]
    columns = ("file", "runtime", "size", "source of the quality", "sha256")
    files = scroll(_table(columns, rows, text=("file", "runtime", "source of the quality", "sha256")), "Files")
    return element(
        "div", element("div", parts, class_="panel"), element("div", files, class_="panel"), class_="cards one"
    )


def scroll(table: Html, label: str) -> Html:
    """A box that scrolls by itself; it can be reached by keyboard."""
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def _table(columns: Iterable[str], rows: Iterable[Html], *, text: tuple[str, ...]) -> Html:
    heads = [element("th", name, class_="t" if name in text else None, scope="col") for name in columns]
    return element("table", element("thead", element("tr", heads)), element("tbody", rows), class_="data")
