import io
from dataclasses import replace

import pytest
from rich.console import Console

from edgekit.report.terminal import show_report
from edgekit.types.finding import Finding, Severity


def shown(report, width, **settings):
    stream = io.StringIO()
    show_report(report, Console(file=stream, width=width, **settings))
    return stream.getvalue()


@pytest.mark.parametrize("width", [30, 60, 80, 90, 100, 110, 120, 160])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_lost(report, width):
    text = shown(report, width)
    assert max(map(len, text.splitlines())) <= width
    flat = "".join(text.split())
    for part in ("model.int8.tflite", "270.0kB", "24.1dB", "97.5%", "0.65", "features.3.conv(Conv)"):
        assert part in flat


def test_narrow_terminals_get_blocks_with_intervals(report):
    assert "time ratio 0.65 (0.62-0.68)" in " ".join(shown(report, 60).split())
    assert "(0.62-0.68)" not in shown(report, 130)


def test_colour_is_never_the_only_sign(report_with):
    report = report_with(
        findings=(
            Finding("a", "first", Severity.ERROR, hint="do this"),
            Finding("b", "second", Severity.WARNING),
            Finding("c", "third", Severity.NOTE),
        ),
        check={"findings": ()},
    )
    plain = shown(report, 120)
    assert "\x1b[" not in plain
    assert "error: first" in plain
    assert "-> do this" in plain
    assert "warning: second" in plain
    assert "third" not in plain
    assert "1 note more in report.md" in plain
    assert "\x1b[" in shown(report, 120, force_terminal=True, color_system="standard")


def test_red_and_green_are_not_used(report_with):
    report = report_with(findings=tuple(Finding("x", "y", severity) for severity in Severity))
    text = shown(report, 120, force_terminal=True, color_system="standard")
    codes = {code for part in text.split("\x1b[")[1:] for code in part.split("m")[0].split(";")}
    assert not codes & {"31", "32", "91", "92"}


def test_names_are_not_read_as_markup(report_with):
    text = shown(report_with(findings=(Finding("x", "layer [red]features[/red] is off"),)), 120)
    assert "[red]features[/red]" in text


@pytest.mark.parametrize("width", [40, 80, 130])
def test_ladder_and_budget(report_with, ladder, judgements, width):
    text = shown(report_with(ladder=ladder, judgements=judgements), width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert "Best found, below the budget" in flat
    assert "missed: SQNR of at least 25.0 dB; model.int8.tflite 24.1 dB" in flat
    assert "kept: at most 300.0 kB; model.int8.onnx 270.0 kB" in flat
    assert "hessian-rounding 23.5 dB (+3.5 dB): 12 weights" in flat
    assert "range-search 19.0 dB (-4.5 dB): not kept: 6 ranges" in flat
    assert "QAT" in flat


def test_a_ladder_of_one_rung_is_not_worth_a_section(report_with, ladder):
    text = shown(report_with(ladder=replace(ladder, steps=ladder.steps[:1])), 100)
    assert "Accuracy ladder" not in text


def test_layers_have_shares_and_prices_where_known(report, report_with):
    layer = replace(report.check.layers[0], output_share=0.31, float_ms=0.4, float_bytes=2000)
    flat = " ".join(shown(report_with(check={"layers": (layer,)}), 120).split())
    assert "31.0 % of the output's noise, in float +400 µs, +2.0 kB: too | narrow" in flat


def test_the_candidates_for_this_machine_are_shown_with_what_became_of_them(report_with, host):
    text = " ".join(shown(report_with(host=host), 100).split())
    assert "u8s8-pair-safe (session.x64quantprecision=0): chosen (24.0 dB, same top-1 99.0 %, time 0.66)" in text
    assert "u8u8: does not run: no kernel" in text
    assert "accurate and fast" in text


def test_a_budget_that_the_base_meets_still_shows_where_the_climb_ended(report_with, ladder, judgements):
    base = replace(ladder, steps=ladder.steps[:1], stopped="the budget was met before 'range-search'")
    assert "the budget was met before 'range-search'" in " ".join(
        shown(report_with(ladder=base, judgements=judgements[:1]), 100).split()
    )
    assert "Accuracy ladder" not in shown(report_with(ladder=base), 100)
