"""index.html: the benchmark as one page that needs nothing else: no network, and without a script still all its tables.

The Content-Security-Policy forbids every connection and runs only the scripts and the style whose hashes it names.
Charts are drawn by Chart.js, which ships in `vendor/`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from string import Template

from edgekit.report.bench import charts, panels, sections, timelines
from edgekit.report.bench.elements import Html, element, escape, join
from edgekit.report.bench.figure import Figure
from edgekit.report.bench.verdict import sentences_of, title_of
from edgekit.types.bench import BenchReport, Kind

CHART_JS = "vendor/chart.umd.min.js"
CHART_JS_VERSION = "4.6.1"
CHART_JS_SHA256 = "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"
"""Of the file as npm has it; a test compares, so that nobody edits it."""
_SOURCE_MAP = "//# sourceMappingURL="
Section = tuple[str, str, str, Html]
"""Id, title, what it shows, content."""


def render_page(report: BenchReport) -> str:
    """The page as HTML text."""
    found = list(_figures(report))
    parts = list(_sections(report, found))
    style, early, drawing, script = (_asset(name) for name in ("page.css", "early.js", "drawing.js", "page.js"))
    library = _asset(CHART_JS).partition(_SOURCE_MAP)[0]
    title = f"Benchmark of {title_of(report)}"
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        description=escape(" ".join((title + ".", *sentences_of(report)))),
        version=escape(report.version),
        policy=_policy(style, (early, library, drawing, script)),
        style=style,
        early=early,
        library=library,
        drawing=drawing,
        script=script,
        body=_body(report, parts),
        data=_data(report, found),
    )


def _body(report: BenchReport, parts: list[Section]) -> Html:
    blocks = [
        element(
            "section",
            element("div", element("h2", title), element("p", text), class_="head"),
            content,
            id=f"section-{name}",
        )
        for name, title, text, content in parts
    ]
    return join(
        (
            sections.marks(),
            element("a", "Skip to the summary", href="#section-summary", class_="skip"),
            sections.masthead(report),
            sections.contents((f"section-{name}", title) for name, title, _, _ in parts),
            sections.filters(report),
            element("main", blocks),
            element(
                "footer",
                f"Written by edgekit {report.version}. Charts: Chart.js {CHART_JS_VERSION}, MIT licence. "
                "The raw samples are in report.json.",
            ),
        )
    )


def _sections(report: BenchReport, found: list[Figure]) -> Iterator[Section]:
    """Those that have something to show."""
    text = "The fastest artifact of each device, and every valid median beside it."
    yield "summary", "Summary", text, sections.cards(report)
    notes = sections.notes(report)
    if notes is not None:
        yield "notes", "What to know", "What failed, what must not be used, and what was noticed.", notes
    if report.measurements:
        text = "Medians with their intervals. Wall time and instructions are apart: a count is no time."
        yield "results", "Results", text, panels.results(report)
    for form, (title, text) in _FIGURES.items():
        shown = [figure for figure in found if figure.form == form]
        if shown:
            yield form, title, text, panels.figures(shown, wide=form in ("operators", "sustained"))
    if report.outputs:
        text = "The same golden inputs on every device: whether its instruction set gives other numbers."
        histogram = panels.figures([figure for figure in found if figure.form == "outputs"], wide=True)
        yield "outputs", "Outputs", text, join((panels.outputs(report), histogram))
    text = "State before the first measurement and after the last; what changed is marked."
    yield "environment", "Environment", text, panels.environments(report)
    yield "method", "Method", "The command, the settings and the exact files.", panels.method(report)


_FIGURES = {
    "distribution": ("Distributions", "Each device has its own scale."),
    "trade-off": ("Trade-offs", "Colour is the artifact, shape the device. To the left is cheaper."),
    "operators": ("Operators", "Where the time of one inference goes."),
    "sustained": ("Sustained load", "One long run: what heat does to latency."),
    "history": ("History", "Medians of the same artifacts on the same devices in earlier runs."),
}
"""Form -> heading of its section and what it shows."""


def _figures(report: BenchReport) -> Iterator[Figure]:
    for kind in Kind:
        yield from charts.distributions(report, kind)
    for kind in Kind:
        yield from charts.trade_off(report, kind)
    yield from charts.operators(report)
    yield from timelines.sustained(report)
    for kind in Kind:
        yield from timelines.history(report, kind)
    yield from charts.outputs(report)


def _data(report: BenchReport, found: list[Figure]) -> str:
    """JSON for the script; no character in it can end the script element or the string it stands in."""
    runtimes = sections.runtimes_of(report)
    document = {
        "artifacts": [
            {"name": artifact.name, "runtime": runtimes.index(artifact.runtime)} for artifact in report.artifacts
        ],
        "devices": [device.name for device in report.devices],
        "figures": {figure.name: figure.data for figure in found},
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return resources.files("edgekit.report.bench").joinpath(name).read_text(encoding="utf-8")
