from dataclasses import replace

import pytest

from edgekit.report.ladder_tables import describe_climb, gain, in_unit, tabulate_budget, tabulate_ladder
from edgekit.report.tables import NONE
from edgekit.types.ladder import Judgement, Score


def rows_of(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_a_row_per_rung_with_its_gain(ladder):
    base, hessian, ranges, weights = rows_of(tabulate_ladder(ladder))
    assert (base["rung"], base["kept"], base["SQNR"], base["gain"]) == ("base", "yes", "20.0 dB", NONE)
    assert (hessian["gain"], hessian["tried"], hessian["took"]) == ("+3.5 dB", "2", "3.0 s")
    assert (ranges["kept"], ranges["gain"]) == ("no", "-4.5 dB")
    assert (weights["SQNR"], weights["what"]) == (NONE, "no limit on accuracy was asked for")
    assert "lost" not in base


def test_the_metric_has_a_column_where_it_was_measured(ladder):
    first, *rest = ladder.steps
    scored = replace(first, after=replace(first.after, drop_points=0.25))
    assert rows_of(tabulate_ladder(replace(ladder, steps=(scored, *rest))))[0]["lost"] == "+0.25 points"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_gain_is_told_of_what_is_not_finite(value):
    finite, other = (Score(db, None, None, 1, 1) for db in (20.0, value))
    assert gain(finite, other) == gain(other, finite) == gain(other, other) == NONE


def test_how_the_climb_ended(ladder):
    text = "Effort 'balanced', scored with onnx-x86 on 24 samples. Ended: the rungs ran out."
    assert describe_climb(ladder) == text
    assert (
        describe_climb(replace(ladder, samples=0, stopped="")) == "Effort 'balanced'. Ended: all rungs were looked at."
    )


def test_missed_limits_come_first_and_files_have_their_names(report_with, judgements):
    missed, size, agreement = rows_of(tabulate_budget(report_with(judgements=judgements)))
    assert missed == {
        "limit": "SQNR of at least 25.0 dB",
        "file": "model.int8.tflite",
        "measured": "24.1 dB",
        "result": "missed",
        "note": NONE,
    }
    assert (size["limit"], size["result"]) == ("at most 300.0 kB", "kept")
    assert (agreement["measured"], agreement["note"]) == ("97.5 %", "not proved: 32 samples")


def test_limits_in_their_units():
    assert in_unit("max_drop", 0.5) == "0.50 points"
    assert in_unit("max_latency_ratio", 0.7) == "0.70"
    assert in_unit("min_agreement", None) == NONE


def test_a_limit_of_a_later_version_is_shown_as_it_is(report_with):
    (row,) = tabulate_budget(report_with(judgements=(Judgement("max_energy", "gone", 1.0, 2.0, False),))).rows
    assert row[:3] == ("max_energy 1.00", "gone", "2.00")
