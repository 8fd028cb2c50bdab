"""The top of the page: title and summary, filters, a card per device, what to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgekit.report.bench.cost_table import quality_of
from edgekit.report.bench.elements import Html, element, join
from edgekit.report.bench.figure import Index
from edgekit.report.bench.quoting import is_emulated, quotable, reasons_against, refused
from edgekit.report.bench.state import thermal, told
from edgekit.report.bench.verdict import best_of, headline_of, title_of
from edgekit.report.bench.wording import HEADINGS, cost
from edgekit.report.gfm import sentence
from edgekit.types.bench import BenchReport, DeviceReport, Kind, Measurement, Summary
from edgekit.types.finding import Severity
from edgekit.units import size

COLOURS = 8
MARKS = (
    element("circle", cx=8, cy=8, r=5),
    element("path", d="M8 2.5 14 13H2z"),
    element("rect", x=3, y=3, width=10, height=10, rx=1),
    element("path", d="M8 1.5 14.5 8 8 14.5 1.5 8z"),
    element("path", d="M8 2v12M2 8h12M4 4l8 8M12 4l-8 8", stroke="currentColor", stroke_width=1.6),
    element("path", d="M8 2v12M2 8h12", stroke="currentColor", stroke_width=1.6),
)
"""Shapes of the devices, in a box of 16 by 16; the charts use the same."""
TONES = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: ""}


def colour(index: int) -> str:
    """Class of the colour of an artifact."""
    return f"c{index % COLOURS}"


def mark(index: int, *, class_: str = "") -> Html:
    """The shape of a device."""
    shape = element("use", href=f"#mark-{index % len(MARKS)}")
    return element("svg", shape, width=13, height=13, viewBox="0 0 16 16", class_=class_ or None, aria_hidden="true")


def marks() -> Html:
    """The shapes, once, for everything that uses them."""
    symbols = (
        element("symbol", shape, id=f"mark-{number}", viewBox="0 0 16 16", fill="currentColor")
        for number, shape in enumerate(MARKS)
    )
    return element("svg", join(symbols), width=0, height=0, aria_hidden="true", class_="marks")


def masthead(report: BenchReport) -> Html:
    """Title and summary."""
    total, valid = len(report.measurements), sum(1 for _ in quotable(report))
    failed = any(device.error for device in report.devices)
    tone = "bad" if failed or not valid else "warn" if valid < total else ""
    when = f", {report.started[:16].replace('T', ' ')} UTC" if report.started else ""
    text = element(
        "div",
        element("p", f"edgekit benchmark{when}", class_="eyebrow"),
        element("h1", title_of(report)),
        element("p", f"{headline_of(report)}.", class_=f"lede {tone}".strip()),
        _files(report),
    )
    icons = [_icon(name, path) for name, path in _ICONS.items()]
    button = element(
        "button", icons, id="theme", class_="icon", type="button", aria_label="Dark colours", aria_pressed="false"
    )
    return element("header", text, button, class_="masthead")


_ICONS = {
    "moon": "M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z",
    "sun": "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4"
    "M17.6 6.4 19 5",
}


def _icon(name: str, path: str) -> Html:
    return element(
        "svg",
        element("path", d=path),
        width=18,
        height=18,
        viewBox="0 0 24 24",
        fill="none",
        stroke="currentColor",
        stroke_width=2,
        stroke_linejoin="round",
        stroke_linecap="round",
        class_=name,
        aria_hidden="true",
    )


def _files(report: BenchReport) -> Html:
    """The artifacts with their colours, which hold for all charts."""
    items = []
    for number, artifact in enumerate(report.artifacts):
        facts = ", ".join(filter(None, (size(artifact.size_bytes), quality_of(artifact))))
        items.append(element("li", dot(number), element("span", artifact.name), element("small", facts)))
    return element("ul", items, class_="artifacts", aria_label="Artifacts")


def dot(artifact: int) -> Html:
    """The colour of an artifact."""
    square = element("rect", x=0, y=0, width=10, height=10, rx=2.5, fill="currentColor")
    return element("svg", square, width=10, height=10, class_=f"dot {colour(artifact)}", aria_hidden="true")


def contents(sections: Iterable[tuple[str, str]]) -> Html:
    """Links to the sections."""
    links = [element("li", element("a", title, href=f"#{name}")) for name, title in sections]
    return element("nav", element("ul", links, class_="contents"), aria_label="Contents")


def filters(report: BenchReport) -> Html:
    """Buttons for devices and runtimes; the script makes them work."""
    runtimes = runtimes_of(report)
    groups = []
    if len(report.devices) > 1:
        chips = [_chip("device", number, device.name, mark(number)) for number, device in enumerate(report.devices)]
        groups.append(_group("Devices", chips))
    if len(runtimes) > 1:
        groups.append(_group("Runtimes", [_chip("runtime", number, name) for number, name in enumerate(runtimes)]))
    if not groups:
        return Html("")
    reset = element("button", "Show all", type="button", class_="reset", id="reset", hidden=True)
    return element("div", groups, reset, class_="bar", role="group", aria_label="Filters", id="filters")


def runtimes_of(report: BenchReport) -> list[str]:
    """In the order of the artifacts."""
    return list(dict.fromkeys(artifact.runtime for artifact in report.artifacts))


def _group(name: str, chips: list[Html]) -> Html:
    return element("div", element("span", name, class_="name"), chips, class_="group", role="group", aria_label=name)


def _chip(kind: str, number: int, text: str, symbol: Html | None = None) -> Html:
    return element(
        "button",
        symbol or "",
        element("span", text, class_="text"),
        type="button",
        class_="chip",
        aria_pressed="true",
        data_filter=kind,
        data_value=number,
    )


def cards(report: BenchReport) -> Html:
    """A card per device and kind: the fastest, and all others beside it."""
    found = []
    for number, device in enumerate(report.devices):
        kinds = dict.fromkeys(entry.kind for entry in report.measurements if entry.device == device.name)
        found += [_card(report, number, device, kind) for kind in kinds] or [_card(report, number, device, None)]
    return element("div", found, class_="cards pairs" if len(found) in (2, 4) else "cards")


def _card(report: BenchReport, number: int, device: DeviceReport, kind: Kind | None) -> Html:
    state = told(device)
    emulated = is_emulated(report, device.name)
    about = " · ".join(filter(None, (state.cpu, state.system, thermal(device)))) if state else "not reached"
    label = f"{HEADINGS[kind]}{', emulated' if emulated else ''}" if kind else "nothing measured"
    heading = element("h3", mark(number), element("span", device.name), id=f"card-{number}-{kind or 'none'}")
    parts = [
        element("header", heading, element("span", label, class_="tag")),
        element("p", about, class_="about"),
    ]
    if kind is not None:
        parts += _ranking(report, device, kind)
    if device.error:
        parts.append(element("p", sentence(device.error), class_="failure"))
    return element(
        "article", parts, class_="panel device", data_device=number, aria_labelledby=f"card-{number}-{kind or 'none'}"
    )


def _ranking(report: BenchReport, device: DeviceReport, kind: Kind) -> Iterator[Html]:
    """The fastest in large figures, then every valid measurement as a bar."""
    best = best_of(report, device.name, kind)
    if best is None:
        yield element("p", "No valid measurement.", class_="best muted")
        return
    number, _, unit = cost(best.summary.median.estimate, kind).partition(" ")
    unit = f"{unit} instructions".strip() if kind is Kind.INSTRUCTIONS else unit
    level = f" cannot be told apart from {' and '.join(best.level_with)}" if best.level_with else ""
    yield element(
        "div",
        element("p", number, " ", element("span", unit, class_="unit"), class_="number"),
        element(
            "p",
            dot(Index.of(report).artifacts[best.measurement.artifact]),
            f"{best.measurement.artifact}, {best.measurement.configuration}{level}",
            class_="of",
        ),
        class_="best",
    )
    found = [pair for pair in quotable(report, kind) if pair[0].device == device.name]
    yield _bars(report, sorted(found, key=lambda pair: pair[1].median.estimate))


def _bars(report: BenchReport, found: list[tuple[Measurement, Summary]]) -> Html:
    index, runtimes = Index.of(report), runtimes_of(report)
    longest = max(summary.median.high for _, summary in found) or 1.0
    rows = []
    for entry, summary in found:
        tint = colour(index.artifacts[entry.artifact])
        middle, low, high = (
            round(100 * value / longest, 2)
            for value in (summary.median.estimate, summary.median.low, summary.median.high)
        )
        bar = element(
            "svg",
            element("rect", x=0, y=1.5, width=str(middle), height=9, rx=0.6),
            element("line", x1=str(low), x2=str(high), y1=6, y2=6),
            viewBox="0 0 100 12",
            preserveAspectRatio="none",
            class_=tint,
            aria_hidden="true",
        )
        label = element("th", entry.artifact, element("small", entry.configuration), class_="label", scope="row")
        value = element("td", cost(summary.median.estimate, entry.kind), class_="value")
        runtime = runtimes.index(report.artifact(entry.artifact).runtime)
        rows.append(element("tr", label, element("td", bar), value, data_runtime=runtime))
    return element("table", element("tbody", rows), class_="bars")


def notes(report: BenchReport) -> Html | None:
    """Devices that failed, invalid measurements, findings, and what was left behind; None when there is nothing."""
    items = [*_failures(report), *_invalid(report), *_findings(report)]
    return element("div", element("ul", items, class_="notes"), class_="panel") if items else None


def _failures(report: BenchReport) -> Iterator[Html]:
    for number, device in enumerate(report.devices):
        if device.error:
            yield _note("failed", "bad", f"{device.name}: {device.error}", device.hint, device=number)
        for path in device.left_behind:
            yield _note("left behind", "warn", f"{device.name} still has {path}", device=number)


def _invalid(report: BenchReport) -> Iterator[Html]:
    devices = Index.of(report).devices
    for entry in refused(report):
        text = f"{entry.artifact} on {entry.device}, {entry.configuration}: {'; '.join(reasons_against(report, entry))}"
        yield _note("invalid" if entry.complete else "partial", "bad", text, device=devices[entry.device])


def _findings(report: BenchReport) -> Iterator[Html]:
    order = list(TONES)
    for finding in sorted(report.findings, key=lambda found: order.index(found.severity)):
        yield _note(finding.severity.value, TONES[finding.severity], sentence(finding.message), finding.hint)


def _note(word: str, tone: str, text: str, hint: str = "", *, device: int | None = None) -> Html:
    said = [element("span", text if text.endswith((".", "?", "!")) else f"{text}.")]
    if hint:
        said.append(element("span", " ", sentence(hint), class_="hint"))
    tag = element("span", element("span", word, class_=f"tag {tone}".strip()))
    return element("li", tag, element("div", said), data_device=device)
