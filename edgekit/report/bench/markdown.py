"""report.md: the benchmark as a comment under a pull request. Emulated wall time never appears in it."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.report import gfm
from edgekit.report.bench.comparison import COLUMNS, cells_of, compared
from edgekit.report.bench.cost_table import BRIEF, tabulate
from edgekit.report.bench.quoting import is_emulated, reasons_against, refused
from edgekit.report.bench.state import thermal, told
from edgekit.report.bench.verdict import headline_of, sentences_of, title_of
from edgekit.report.bench.wording import HEADINGS, NONE
from edgekit.types.bench import BenchReport, DeviceReport, Kind

SHOWN_COLUMNS = ("artifact", "device", "against", "outputs", "largest difference", "differing", "top-1")


def render_markdown(report: BenchReport) -> str:
    """The benchmark as GitHub-flavoured Markdown, ending in a newline."""
    sections = (
        _summary(report),
        _devices(report),
        _costs(report),
        _invalid(report),
        _outputs(report),
        _findings(report),
        _repeating(report),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _summary(report: BenchReport) -> Iterator[str]:
    yield f"## Benchmark of {title_of(report)}"
    yield ""
    yield f"**{headline_of(report)}.**"
    yield ""
    sentences = sentences_of(report)
    yield from (f"- {gfm.escape(sentence)}" for sentence in sentences)
    if sentences:
        yield ""


def _devices(report: BenchReport) -> Iterator[str]:
    yield "### Devices"
    yield ""
    columns = ("device", "address", "processor", "system", "clocks", "temperature", "limits")
    yield from gfm.rows(columns, (_device_cells(report, device) for device in report.devices), left=columns)
    yield ""
    for device in report.devices:
        if device.error:
            hint = f" *{gfm.escape(gfm.sentence(device.hint))}*" if device.hint else ""
            yield f"- {gfm.code_span(device.name)} failed: {gfm.escape(gfm.sentence(device.error))}{hint}"
        for path in device.left_behind:
            yield f"- {gfm.code_span(device.name)} still has {gfm.code_span(path)}."
    if any(device.error or device.left_behind for device in report.devices):
        yield ""


def _device_cells(report: BenchReport, device: DeviceReport) -> tuple[str, ...]:
    state = told(device)
    name, address = gfm.code_span(device.name), gfm.code_span(device.uri)
    if state is None:
        return (name, address, "not reached", NONE, NONE, NONE, NONE)
    cpu = f"{state.cpu or 'unknown'}{' (emulated)' if is_emulated(report, device.name) else ''}"
    limits = dict.fromkeys(limit for found in (device.before, device.after) if found for limit in found.throttling)
    texts = (cpu, state.system or NONE, state.governor or NONE, thermal(device) or NONE, "; ".join(limits) or "none")
    return (name, address, *(gfm.escape(text) for text in texts))


def _costs(report: BenchReport) -> Iterator[str]:
    """A table per device and kind."""
    for device in report.devices:
        for kind in Kind:
            found = [entry for entry in report.measurements if (entry.device, entry.kind) == (device.name, kind)]
            if not found:
                continue
            table = tabulate(report, found, BRIEF)
            yield f"### {gfm.escape(device.name)}: {HEADINGS[kind]}"
            yield ""
            rows = ((gfm.code_span(row.cells[0]), *map(gfm.escape, row.cells[1:])) for row in table.rows)
            yield from gfm.rows(table.columns, rows, left=("configuration",))
            yield ""
    if any(entry.kind is Kind.INSTRUCTIONS for entry in report.measurements):
        yield "Instructions are counted, not timed: they know no cache and no clock, and are not latency."
        yield ""


def _invalid(report: BenchReport) -> Iterator[str]:
    found = refused(report)
    if not found:
        return
    yield "### Not valid"
    yield ""
    for entry in found:
        partial = "" if entry.complete else " (partial)"
        reasons = gfm.escape("; ".join(reasons_against(report, entry)))
        yield (
            f"- {gfm.code_span(entry.artifact)} on {gfm.code_span(entry.device)}, "
            f"{gfm.escape(entry.configuration)}{partial}: {reasons}"
        )
    yield ""


def _outputs(report: BenchReport) -> Iterator[str]:
    found = compared(report)
    if not found:
        return
    yield "### Outputs of the same inputs"
    yield ""
    kept = [COLUMNS.index(name) for name in SHOWN_COLUMNS]
    rows = [[gfm.escape(cells_of(check)[index]) for index in kept] for check in found]
    yield from gfm.rows(SHOWN_COLUMNS, rows, left=SHOWN_COLUMNS[:4])
    yield ""


def _findings(report: BenchReport) -> Iterator[str]:
    if not report.findings:
        return
    yield "### Findings"
    yield ""
    yield from gfm.list_findings(report.findings, empty="None.")
    yield ""


def _repeating(report: BenchReport) -> Iterator[str]:
    settings = report.settings
    if report.command:
        yield from gfm.code("sh", report.command)
    yield (
        f"edgekit {gfm.escape(report.version)}, {gfm.escape(report.started)}. {settings.processes} fresh processes of "
        f"{settings.duration_s:g} s per measurement; intervals are {_confidence(report)}, by bootstrap over processes. "
        "p90 and p99 appear from 64 and 662 samples on."
    )


def _confidence(report: BenchReport) -> str:
    levels = {entry.summary.median.confidence for entry in report.measurements if entry.summary}
    return " and ".join(f"{level * 100:g} %" for level in sorted(levels)) or "95 %"
