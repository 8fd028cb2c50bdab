"""The page in headless Chromium: drawn, clicked, in the dark, on a phone, without a script, under attack."""

from dataclasses import replace
from itertools import pairwise

import pytest

from edgekit.report.bench.page import render_page
from edgekit.types.bench import BenchReport, BenchSettings
from tests.report.bench.conftest import TIMEOUT_MS
from tests.report.bench.hostile import make_hostile

DRAWN = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = data.slice(at, at + 4);
        found += alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60;
    }
    return found;
}"""
"""How many pixels of a canvas are coloured: axes and grids are grey, data is not."""
SHOWN_LINES = """canvas => {
    const chart = Chart.getChart(canvas);
    return chart.data.datasets.map((dataset, at) => chart.isDatasetVisible(at) ? dataset.label : "").filter(Boolean);
}"""


class Tab:
    """A page and everything that went wrong on it."""

    def __init__(self, browser, **settings):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        self.context.set_default_timeout(TIMEOUT_MS)
        self.page = self.context.new_page()
        self.requests, self.troubles = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))

    def load(self, path, *, script=True):
        self.page.goto(path.as_uri())
        if script:
            self.page.wait_for_function("document.documentElement.dataset.ready === 'true'")
        return self

    def all(self, selector, **which):
        return self.page.locator(selector, **which)

    def lines(self, figure):
        return self.all(f"#{figure} canvas").evaluate(SHOWN_LINES)

    def background(self):
        """How light the page is, 0..255."""
        colour = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 3


@pytest.fixture
def tab(browser):
    opened = []

    def build(**settings):
        opened.append(Tab(browser, **settings))
        return opened[-1]

    yield build
    for found in opened:
        found.context.close()


def test_it_loads_nothing_else_and_has_no_trouble(tab, page_path):
    found = tab().load(page_path)
    assert found.requests == [page_path.as_uri()]
    assert found.troubles == []


def test_every_chart_is_drawn(tab, page_path):
    found = tab().load(page_path)
    canvases = found.all("canvas").all()
    assert len(canvases) == 11
    for canvas in canvases:
        assert canvas.evaluate(DRAWN) > 300


def test_a_device_can_be_taken_out_everywhere(tab, page_path):
    found = tab().load(page_path)
    rows = found.all("#section-results tbody tr:visible")
    before = rows.count()
    assert len(found.lines("trade-off-wall_ns")) == 11 + 4
    chip = found.page.get_by_role("button", name="pi5").first
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert rows.count() == before - 11
    assert found.all("#distribution-wall_ns-1").is_hidden()
    assert found.all("#section-sustained figure").is_hidden()
    assert found.all("#section-sustained .nothing").is_visible()
    assert found.all("article:visible").count() == 3
    assert not [line for line in found.lines("trade-off-wall_ns") if "pi5" in line]
    assert found.lines("outputs") == ["resnet8.int8.onnx, cortex-a76"]
    found.page.get_by_role("button", name="Show all").click()
    assert rows.count() == before
    assert found.all("#distribution-wall_ns-1").is_visible()
    assert found.all("#distribution-wall_ns-1 canvas").evaluate(DRAWN) > 300
    assert found.troubles == []


def test_a_runtime_can_be_taken_out_everywhere(tab, page_path):
    found = tab().load(page_path)
    assert len(found.lines("distribution-wall_ns-0")) == 6
    found.page.get_by_role("button", name="onnxruntime", exact=True).click()
    assert found.lines("distribution-wall_ns-0") == [
        "resnet8.int8.tflite, xnnpack, 1 thread",
        "resnet8.int8.tflite, xnnpack, 4 threads",
    ]
    assert found.all("#section-results tbody tr:visible").all_inner_texts()
    assert not [row for row in found.all("#section-results tbody tr:visible").all_inner_texts() if ".onnx" in row]
    assert found.all("#operators select").input_value() == "2"
    assert found.lines("operators") == ["resnet8.int8.tflite, xnnpack, 1 thread, workstation"]
    assert found.all("#outputs").is_hidden()


def test_a_click_on_the_legend_hides_a_line(tab, page_path):
    found = tab().load(page_path)
    canvas = found.all("#history-wall_ns-0 canvas")
    before, lines = canvas.evaluate(DRAWN), found.lines("history-wall_ns-0")
    key = found.all("#history-wall_ns-0 .key").first
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    assert found.lines("history-wall_ns-0") == lines[1:]
    assert canvas.evaluate(DRAWN) != before
    key.click()
    assert found.lines("history-wall_ns-0") == lines


def test_the_legend_of_the_trade_off_knows_artifacts_and_devices(tab, page_path):
    found = tab().load(page_path)
    found.all(
        "#trade-off-wall_ns .key",
    ).filter(has_text="resnet8.fp32.onnx").click()
    assert not [line for line in found.lines("trade-off-wall_ns") if "fp32" in line]
    found.all("#trade-off-wall_ns .key").filter(has_text="workstation").click()
    assert {line for line in found.lines("trade-off-wall_ns") if line != "front"} == {
        "resnet8.int8.onnx, cpu, 1 thread, pi5",
        "resnet8.int8.tflite, xnnpack, 1 thread, pi5",
        "resnet8.int8.tflite, xnnpack, 4 threads, pi5",
    }


def test_operators_of_another_measurement_and_by_type(tab, page_path):
    found = tab().load(page_path)
    labels = "canvas => Chart.getChart(canvas).data.labels"
    canvas = found.all("#operators canvas")
    first = canvas.evaluate(labels)
    assert len(first) == 15
    found.all("#operators select").select_option("1")
    assert found.lines("operators") == ["resnet8.int8.onnx, cpu, 1 thread, workstation"]
    found.page.get_by_role("button", name="by operator").click()
    assert canvas.evaluate(labels)[0] == "QLinearConv"
    means = canvas.evaluate("canvas => Chart.getChart(canvas).data.datasets[0].data")
    assert all(one >= other for one, other in pairwise(means))


def test_the_dark_follows_the_system_and_the_button(tab, page_path):
    dark = tab(color_scheme="dark").load(page_path)
    assert dark.background() < 60
    found = tab(color_scheme="light").load(page_path)
    assert found.background() > 200
    button = found.page.get_by_role("button", name="Dark colours")
    button.click()
    assert found.background() < 60
    assert button.get_attribute("aria-pressed") == "true"
    tick = found.page.evaluate("Chart.defaults.color")
    assert tick == dark.page.evaluate("Chart.defaults.color")
    found.load(page_path)
    assert found.background() < 60, "the choice is kept"
    assert found.all("canvas").first.evaluate(DRAWN) > 300


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_screen_scrolls_only_inside_its_boxes(tab, page_path, width):
    found = tab(viewport={"width": width, "height": 740}, is_mobile=True, has_touch=True).load(page_path)
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    wide = found.page.evaluate(
        """width => [...document.querySelectorAll("body *")].filter(part => {
            const box = part.getBoundingClientRect();
            return box.width && box.right > width + 1 && !part.closest(".scroll, .bar, .marks, .skip, select");
        }).map(part => part.outerHTML.slice(0, 120))""",
        width,
    )
    assert wide == []
    small = found.page.evaluate(
        """() => [...document.querySelectorAll("main *")].filter(part => part.childElementCount === 0 &&
            part.textContent.trim() && part.checkVisibility() && parseFloat(getComputedStyle(part).fontSize) < 12
        ).map(part => part.textContent)"""
    )
    assert small == []
    if width == 360:
        box = found.all("#section-results .scroll").first
        assert box.evaluate("box => box.scrollWidth > box.clientWidth + 50")


def test_a_keyboard_reaches_everything(tab, page_path):
    found = tab().load(page_path)
    found.page.keyboard.press("Tab")
    assert found.page.evaluate("document.activeElement.textContent") == "Skip to the summary"
    chip = found.page.get_by_role("button", name="workstation").first
    chip.focus()
    found.page.keyboard.press("Space")
    assert chip.get_attribute("aria-pressed") == "false"
    key = found.all("#history-instructions-2 .key").first
    key.focus()
    found.page.keyboard.press("Enter")
    assert len(found.lines("history-instructions-2")) == 2
    assert found.page.evaluate("""() => [...document.querySelectorAll("button, select, a, summary, .scroll")]
        .every(part => part.tabIndex >= 0)""")


def test_without_a_script_it_is_complete_as_tables(tab, page_path):
    found = tab(java_script_enabled=False).load(page_path, script=False)
    assert found.all("canvas:visible").count() == 0
    assert found.all(".chip:visible").count() == 0
    tables = found.all("table.data")
    assert tables.count() > 15
    assert all(table.is_visible() for table in tables.all())
    assert found.all("#distribution-wall_ns-0 td", has_text="resnet8.int8.onnx").first.is_visible()
    assert found.requests == [page_path.as_uri()]


def test_hostile_names_are_inert(tab, report, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(render_page(make_hostile(report)), encoding="utf-8")
    found = tab().load(path)
    for chip in found.all(".chip").all()[:2]:
        chip.click()
    found.all(".key:visible").first.click()
    assert found.page.evaluate("window.hacked") is None
    assert found.all("img, iframe, object").count() == 0
    assert found.troubles == []
    assert found.requests == [path.as_uri()]
    assert found.all("article h3").first.inner_text().startswith("0 </script><img src=x")
    phone = tab(viewport={"width": 360, "height": 740}).load(path)
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_policy_holds(tab, page_path):
    """A script, a style or a connection that is not the page's own does not run."""
    found = tab().load(page_path)
    found.page.evaluate("""() => {
        window.refused = [];
        document.addEventListener("securitypolicyviolation", event => window.refused.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.hacked = true";
        document.body.append(script);
        const style = document.createElement("style");
        style.textContent = "body { display: none }";
        document.body.append(style);
        new Image().src = "http://127.0.0.1:9/x.png";
        fetch("http://127.0.0.1:9/").catch(() => {});
    }""")
    found.page.wait_for_function("window.refused.length >= 4")
    assert set(found.page.evaluate("window.refused")) == {"script-src-elem", "style-src-elem", "img-src", "connect-src"}
    assert found.page.evaluate("window.hacked") is None


def test_a_benchmark_in_which_nothing_was_measured(tab, report, tmp_path):
    empty = BenchReport("0.1.0", "", "", BenchSettings(), report.artifacts, report.devices[3:])
    bare = replace(empty, artifacts=(), devices=())
    for name, found in (("empty", empty), ("bare", bare)):
        path = tmp_path / f"{name}.html"
        path.write_text(render_page(found), encoding="utf-8")
        page = tab().load(path)
        assert page.troubles == []
        assert "Nothing was measured" in page.all(".lede").inner_text()


def test_many_artifacts_and_lines_still_draw(tab, report, tmp_path):
    """More artifacts than colours, more configurations than dashes."""
    base = report.measurements[0]
    artifacts = tuple(replace(report.artifacts[0], name=f"net{n}.onnx") for n in range(11))
    measurements = tuple(
        replace(base, artifact=artifact.name, threads=threads) for artifact in artifacts for threads in range(1, 8)
    )
    crowd = replace(report, artifacts=artifacts, measurements=measurements, outputs=(), history=())
    path = tmp_path / "index.html"
    path.write_text(render_page(crowd), encoding="utf-8")
    found = tab().load(path)
    assert len(found.lines("distribution-wall_ns-0")) == 77
    assert found.troubles == []
