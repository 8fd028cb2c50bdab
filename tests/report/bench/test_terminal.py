"""Benchmarks and gates on a terminal: any width, nothing of an invalid measurement, and no control characters."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from edgekit.report.bench.terminal import show_bench, show_gate
from edgekit.report.bench.verdict import headline_of
from edgekit.types.bench import BenchReport
from edgekit.types.gate import GateReport
from tests.report.bench.example import make_gate, make_report
from tests.report.bench.strategies import gates, reports

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def shown(report: BenchReport | GateReport, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, no_color=True, highlight=False)
    if isinstance(report, BenchReport):
        show_bench(report, console)
    else:
        show_gate(report, console)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 100, 240])
def test_says_the_same_at_any_width(width: int) -> None:
    report = make_report()
    text = " ".join(shown(report, width).split())
    assert headline_of(report) in text
    for measurement in report.measurements:
        assert measurement.artifact in text.replace(" ", "") or measurement.artifact in text
    for device in report.devices:
        if device.error:
            assert f"failed: {device.name}" in text
    assert max(map(len, shown(report, width).splitlines())) <= width


def test_tables_where_they_fit_and_blocks_where_not() -> None:
    report = make_report()
    wide, narrow = shown(report, 240), shown(report, 60)
    assert re.search(r"^artifact +device +configuration +median \(interval\)", wide, re.MULTILINE)
    assert "median (interval) " in narrow
    assert not re.search(r"^artifact +device", narrow, re.MULTILINE)


def test_what_fails_a_gate_comes_first() -> None:
    lines = shown(make_gate(), 200).splitlines()
    assert lines[0].startswith("Gate failed")
    assert lines[1].startswith("✗ regressed")


@settings(max_examples=8)
@given(reports(), st.integers(30, 200))
def test_what_a_device_said_moves_no_cursor(report: BenchReport, width: int) -> None:
    assert not CONTROL.search(shown(report, width))


@settings(max_examples=8)
@given(gates())
def test_nor_does_what_a_gate_says(gate: GateReport) -> None:
    assert not CONTROL.search(shown(gate, 80))
