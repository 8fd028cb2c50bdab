import re
from dataclasses import replace

import pytest
from hypothesis import given

from edgekit.report.bench.markdown import render_markdown
from edgekit.types.bench import Kind
from tests.report.bench.example import EMULATED, FLOAT, INT8
from tests.report.bench.strategies import reports


def section(text, title):
    return text.partition(f"### {title}\n")[2].partition("\n###")[0]


def tables(text):
    """Cells of every table, a list of rows each."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] if line.startswith("|") else None for line in text.splitlines()]
    found, current = [], []
    for row in [*rows, None]:
        if row is not None:
            current.append([cell.strip() for cell in row])
        elif current:
            found.append(current)
            current = []
    return found


def test_the_answer_comes_first(report):
    lines = render_markdown(report).splitlines()
    assert lines[0] == "## Benchmark of 3 artifacts on 4 devices"
    assert lines[2] == "**14 of 16 measurements are valid, 1 device failed.**"


def test_every_row_has_as_many_cells_as_its_heading(report):
    for table in tables(render_markdown(report)):
        assert {len(row) for row in table} == {len(table[0])}


def test_a_table_per_device_and_kind(report):
    text = render_markdown(report)
    here = section(text, "workstation: wall time")
    assert f"| `{INT8}` | cpu, 4 threads | 0.280 ms (0.278–0.282) | 0.310 ms |" in here
    assert "| 96.3 kB |" in here
    assert "85.5 % top-1" in here


def test_percentiles_are_there_only_when_they_were_given(report):
    few = tuple(
        replace(found, summary=replace(found.summary, p90=None, p99=None)) if found.summary else found
        for found in report.measurements
    )
    assert "p99" in section(render_markdown(report), "workstation: wall time")
    text = section(render_markdown(replace(report, measurements=few)), "workstation: wall time")
    assert "p90" not in text
    assert "p99" not in text


def test_instructions_are_never_a_time(report):
    text = section(render_markdown(report), "cortex-a76: instructions")
    assert "31.2 M" in text
    assert not re.search(r"\d ?(ms|µs|ns|s)\b", text)


def test_emulated_wall_time_never_appears(report):
    """Not of a measurement that pretends to be one, and not of the start of a counted one."""
    marked = tuple(
        replace(found, kind=Kind.WALL_NS, summary=replace(found.summary, first_ms=777.7, minimum=888_800_000.0))
        if found.device == EMULATED
        else found
        for found in report.measurements
    )
    text = render_markdown(replace(report, measurements=marked))
    assert section(text, "cortex-a76: wall time").count("| invalid |") == 3
    assert "wall time on an emulated device is no latency" in text
    for number in ("777", "888", "31.2 ms", "7.9"):
        assert number not in text


def test_invalid_ones_have_their_reasons_and_no_number(report):
    text = render_markdown(report)
    assert f"- `{INT8}` on `pi5`, cpu, 4 threads: the clock was capped during 3 of 5 processes" in text
    assert f"- `{FLOAT}` on `phone`, cpu, 1 thread (partial): 2 processes finished, 5 are needed" in text
    row = next(
        line for line in section(text, "pi5: wall time").splitlines() if "cpu, 4 threads" in line and INT8 in line
    )
    assert "ms" not in row


def test_lost_devices_outputs_and_findings(report):
    text = render_markdown(report)
    assert "- `phone` failed: The device went away" in text
    assert "- `phone` still has `/data/local/tmp/edgekit-4f1c`." in text
    assert "| resnet8.int8.onnx | pi5 | workstation | differ | 2 LSB | 21.7 % | 86.1 % |" in text
    assert "- **warning** `outputs-differ`" in text


def test_it_fits_a_comment(report):
    assert len(render_markdown(report)) < 65_536 / 4


@pytest.mark.parametrize("name", ["</td><img onerror=1>", "a|b", "`code`", "@team", "*x* [y](z)"])
def test_names_cannot_act(report, name):
    artifacts = tuple(replace(found, name=name) if found.name == INT8 else found for found in report.artifacts)
    measurements = tuple(
        replace(found, artifact=name) if found.artifact == INT8 else found for found in report.measurements
    )
    hostile = replace(report, artifacts=artifacts, measurements=measurements, outputs=(), history=())
    text = render_markdown(hostile)
    for table in tables(text):
        assert {len(row) for row in table} == {len(table[0])}
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "<img" not in outside
    assert "@team" not in outside


@given(reports())
def test_law_every_report_can_be_told(report):
    text = render_markdown(report)
    assert text.startswith("## Benchmark of ")
    assert text.endswith("\n")
