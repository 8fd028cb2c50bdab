from dataclasses import replace

import pytest
from hypothesis import given

from edgekit.report.bench.gate_markdown import render_gate_markdown
from edgekit.report.bench.gate_wording import describe_change, describe_limit, describe_value
from edgekit.types.gate import GateReport, Measure
from edgekit.types.interval import Interval
from tests.report.bench.example import INT8, make_gate
from tests.report.bench.strategies import gates
from tests.report.bench.test_markdown import tables


def test_the_verdict_is_on_top(gate):
    lines = render_gate_markdown(gate).splitlines()
    assert lines[0] == "## ✗ Gate failed"
    assert lines[2] == (
        "`feature/pair-safe` against `main`: **3 passed, 1 improved, 1 regressed, 1 undecided, 1 skipped**."
    )
    assert lines[5] == (f"- ✗ `{INT8}` on `pi5`, wall time, cpu, 1 thread: **+7.20 % (+6.60 to +7.90)**, limit +2 %")


def test_a_gate_that_passes(gate):
    good = replace(gate, judgements=gate.judgements[1:2])
    text = render_gate_markdown(good)
    assert text.startswith("## ✓ Gate passed\n\n`feature/pair-safe` against `main`: **1 passed**.\n")
    assert "undecided" not in text.casefold()


def test_undecided_fails_where_the_gate_says_so():
    text = render_gate_markdown(make_gate(fail_on_undecided=True))
    assert "Undecided judgements fail this gate." in text
    assert text.count("\n- ") == 2


def test_a_row_per_judgement(gate):
    head, _, *rows = tables(render_gate_markdown(gate))[0]
    assert len(rows) == len(gate.judgements)
    assert {len(row) for row in rows} == {len(head)}
    assert rows[3] == [
        "▼ improved",
        f"`{INT8}`",
        "`cortex-a76`",
        "instructions, cpu, 1 thread",
        "8.46 M",
        "8.3 M",
        "-1.90 %",
        "+0.5 %",
        "fewer than before by more than the limit",
    ]
    assert rows[5][4:8] == ["85.5 %", "85.5 %", "-0.05 points (-0.41 to +0.31)", "-1 point"]


def test_words(gate):
    judgement = gate.judgements[0]
    tiny = replace(judgement, measure=Measure.INSTRUCTIONS, change=Interval(0.0000042, 0.0000042, 0.0000042))
    assert describe_change(tiny) == "+0.0004 %"
    assert describe_change(replace(tiny, change=None)) == "–"
    assert describe_limit(replace(judgement, measure=Measure.ACCURACY, limit=0.005)) == "-0.5 points"
    assert describe_value(1_505_576.0, "instructions") == "1.51 M"
    assert describe_value(96_305.0, "B") == "96.3 kB"
    assert describe_value(None, "ms") == "–"


@pytest.mark.parametrize("name", ["a|b", "<img onerror=1>", "@team"])
def test_names_cannot_act(gate, name):
    hostile = replace(gate, head=name, judgements=tuple(replace(one, artifact=name) for one in gate.judgements))
    head, _, *rows = tables(render_gate_markdown(hostile))[0]
    assert {len(row) for row in rows} == {len(head)}


def test_nothing_compared():
    assert "nothing was compared" in render_gate_markdown(GateReport("a", "b", ()))


@given(gates())
def test_law_every_gate_can_be_told(report):
    assert render_gate_markdown(report).startswith("## ")
