import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings

from edgekit.report.bench import page
from edgekit.report.bench.elements import element
from edgekit.report.bench.page import CHART_JS, CHART_JS_SHA256, CHART_JS_VERSION, render_page
from edgekit.types.bench import Kind
from tests.report.bench.example import EMULATED
from tests.report.bench.hostile import make_hostile
from tests.report.bench.strategies import reports

FOLDER = Path(page.__file__).parent
TAGS = {
    "html", "head", "meta", "title", "link", "style", "script", "body", "header", "nav", "main", "section", "article",
    "footer", "div", "p", "span", "a", "h1", "h2", "h3", "ul", "li", "button", "table", "thead", "tbody", "tr", "th",
    "td", "figure", "canvas", "details", "summary", "svg", "symbol", "use", "rect", "line", "path", "circle", "small",
    "code", "pre", "dl", "dt", "dd", "wbr",
}  # fmt: skip
"""All that the page is made of; an `img` or an `iframe` could only come from a name."""


class Outline(HTMLParser):
    """Tags with their attributes, the text outside of scripts, and whether every element is closed in order."""

    VOID = ("meta", "link", "wbr")

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.scripts, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("script", "style"):
            self.scripts.append([tag, dict(attrs), ""])

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts[-1][2] += data
        else:
            self.words.append(data)


@pytest.fixture(scope="module")
def outline(report):
    return Outline(render_page(report))


def data_of(outline):
    return next(json.loads(text) for tag, attrs, text in outline.scripts if attrs.get("id") == "data")


def test_nobody_edited_the_library():
    content = (FOLDER / CHART_JS).read_bytes()
    assert hashlib.sha256(content).hexdigest() == CHART_JS_SHA256
    assert f"Chart.js v{CHART_JS_VERSION}".encode() in content[:60]
    readme = (FOLDER / "vendor" / "README.md").read_text(encoding="utf-8")
    assert f"npm pack chart.js@{CHART_JS_VERSION}\n" in readme
    assert "The MIT License" in (FOLDER / "vendor" / "LICENSE.md").read_text(encoding="utf-8")


def test_the_library_is_inside_with_its_notice(report):
    text = render_page(report)
    assert "Released under the MIT License" in text
    assert "sourceMappingURL" not in text


def test_it_asks_for_nothing(outline):
    for tag, attributes in outline.tags:
        assert tag in TAGS
        assert not {"src", "srcset", "action", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        if "href" in attributes:
            assert attributes["href"].startswith(("#", "data:image/svg+xml,"))


def test_the_policy_names_the_hash_of_every_script_and_style(outline):
    policy = next(attrs["content"] for tag, attrs in outline.tags if attrs.get("http-equiv"))
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, attributes, text in outline.scripts:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules[f"{tag}-src"]
    assert "unsafe" not in policy
    assert rules["base-uri"] == rules["form-action"] == "'none'"


def test_it_is_a_page_for_everyone(outline):
    tags = outline.tags
    assert ("html", {"lang": "en"}) in tags
    assert sum(tag == "h1" for tag, _ in tags) == sum(tag == "title" for tag, _ in tags) == 1
    for tag, attributes in tags:
        if tag == "canvas":
            assert attributes["role"] == "img"
            assert len(attributes["aria-label"]) > 20
        if tag == "button":
            assert attributes["type"] == "button"
        if tag == "svg":
            assert attributes["aria-hidden"] == "true"
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"][1:] for tag, attributes in tags if tag in ("a", "use")}
    assert targets <= set(identifiers)


def test_every_chart_has_its_numbers_as_a_table(report, outline):
    forms = [attributes["data-chart"] for tag, attributes in outline.tags if tag == "figure"]
    assert sorted(set(forms)) == ["distribution", "history", "operators", "outputs", "sustained", "trade-off"]
    assert sum(tag == "details" for tag, _ in outline.tags) == len(forms)
    assert data_of(outline)["figures"].keys() == {
        attributes["id"] for tag, attributes in outline.tags if tag == "figure"
    }


def test_wall_time_and_instructions_share_no_figure(report, outline):
    emulated = [device.name for device in report.devices].index(EMULATED)
    for name, figure in data_of(outline)["figures"].items():
        found = figure.get("series") or figure.get("points") or figure.get("choices")
        if name != "outputs":
            assert len({entry["device"] == emulated for entry in found}) == 1, name
            assert ("instructions" in name) == (found[0]["device"] == emulated)


def test_emulated_wall_time_never_appears(report):
    marked = tuple(
        replace(
            found,
            kind=Kind.WALL_NS,
            summary=replace(found.summary, minimum=777_777_777.0, first_ms=888.8),
            processes=tuple(replace(run, samples=(777_777_777,) * 99) for run in found.processes),
        )
        if found.device == EMULATED
        else found
        for found in report.measurements
    )
    text = render_page(replace(report, measurements=marked))
    assert "wall time on an emulated device is no latency" in text
    assert not re.search(r"\b77[78]\b|777\.7|888\.8|\b889\b", text.replace(page._asset(CHART_JS), ""))


def test_summary_reasons_and_findings_are_told(outline):
    text = " ".join("".join(outline.words).split())
    for part in (
        "3 artifacts on 4 devices",
        "14 of 16 measurements are valid, 1 device failed.",
        "the clock was capped during 3 of 5 processes",
        "phone still has /data/local/tmp/edgekit-4f1c.",
        "Bench the .x86.int8.onnx file there",
        "soft temperature limit now",
        "equal to the bit",
    ):
        assert part in text


def test_the_page_stays_small(report):
    assert len(render_page(report)) < 600_000


def test_hostile_names_stay_text(report):
    hostile = Outline(render_page(make_hostile(report)))
    assert {tag for tag, _ in hostile.tags} <= TAGS
    assert "<img src=x onerror=\"window.hacked='artifact'\">" in "".join(hostile.words)
    (data,) = [text for _, attributes, text in hostile.scripts if attributes.get("id") == "data"]
    assert not set("<>&") & set(data)
    assert "</script><img" in json.loads(data)["devices"][0]


def test_text_that_html_cannot_hold():
    assert element("p", "a\x00b\ud800c\x1b[31m\n") == "<p>a\ufffdb\ufffdc\ufffd[31m\n</p>"


@settings(max_examples=15)
@given(reports())
def test_law_every_report_has_a_page(report):
    found = Outline(render_page(report))
    assert {tag for tag, _ in found.tags} <= TAGS
    data_of(found)
