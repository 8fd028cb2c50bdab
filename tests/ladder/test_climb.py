import math
import time
from dataclasses import replace

import pytest

from edgekit.ladder import climb as ladder
from edgekit.ladder.ascent import Ascent
from edgekit.ladder.climb import climb, is_better, is_met
from edgekit.ladder.draft import Draft, Evidence
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.ladder import Score
from edgekit.types.plan import Plan
from edgekit.types.progress import Silent
from edgekit.types.recipe import BudgetSettings, Recipe
from edgekit.types.sample_set import SampleSet


def score(sqnr=20.0, *, agreement=1.0, drop=None, size=1000, samples=20):
    return Score(sqnr, agreement, drop, size, samples)


class Offer:
    """A rung that proposes plans named by their method; `scores` says what each is worth."""

    def __init__(self, *methods, refusal=""):
        self.methods, self.refusal = methods, refusal

    def __call__(self):
        return self

    def requires(self, draft, evidence):
        return self.refusal

    def propose(self, draft, evidence):
        for method in self.methods:
            yield f"by {method}", draft.with_plan(method=method)


@pytest.fixture
def up(monkeypatch, tmp_path):
    def run(rungs, scores, *, effort="balanced", deadline=math.inf, **limits):
        class Table:
            load = staticmethod(lambda name: rungs[name])

        monkeypatch.setattr(ladder, "RUNGS", Table)
        evidence = Evidence(
            SampleSet([0], lambda position: {}, "none"),
            lambda draft: scores[draft.plan.method],
            BudgetSettings(**limits),
            effort,
            tmp_path,
            deadline=deadline,
        )
        return climb(Draft(None, {}, Plan(method="base")), evidence, list(rungs))

    return run


def test_a_rung_is_kept_when_it_helps_and_its_best_candidate_is_chosen(up):
    found = up({"one": Offer("a", "b")}, {"base": score(20), "a": score(21), "b": score(22)})
    assert found.draft.plan.method == "b"
    base, step = found.report.steps
    assert (base.rung, base.after.sqnr_db) == ("base", 20)
    assert (step.kept, step.outcome, step.tried) == (True, "by b", 2)
    assert (step.before.sqnr_db, step.after.sqnr_db) == (20, 22)
    assert "no budget was set" in found.report.stopped


def test_a_rung_that_does_not_help_is_refused_and_the_next_starts_from_what_there_was(up):
    found = up(
        {"worse": Offer("a"), "hardly": Offer("c"), "better": Offer("b")},
        {"base": score(20), "a": score(19), "b": score(20.5), "c": score(20.01)},
    )
    assert [step.kept for step in found.report.steps] == [True, False, False, True]
    assert "no better" in found.report.steps[1].outcome
    assert found.report.steps[3].before.sqnr_db == 20


def test_a_rung_says_why_it_has_nothing_to_offer(up):
    found = up({"one": Offer("a", refusal="no convolution here"), "two": Offer()}, {"base": score()})
    assert found.report.steps[1].outcome == "no convolution here"
    assert found.report.steps[1].after is None
    assert "nothing to propose" in found.report.steps[2].outcome
    assert found.draft.plan.method == "base"


def test_limits_that_leave_a_rung_nothing_are_named(up):
    found = up({"one": Offer()}, {"base": score(20)}, min_sqnr=30, max_size="1 B", max_latency_ratio=0.7)
    assert found.report.steps[1].outcome == "had nothing to propose within max_size and max_latency_ratio"


def test_the_first_rung_that_meets_the_budget_is_the_last(up):
    scores = {"base": score(20), "a": score(24.5), "b": score(30)}
    found = up({"one": Offer("a"), "two": Offer("b")}, scores, min_sqnr=24.0)
    assert found.draft.plan.method == "a"
    assert "met before 'two'" in found.report.stopped


def test_a_budget_out_of_reach_keeps_the_best_and_says_what_is_left(up):
    scores = {"base": score(20), "a": score(24.5)}
    found = up({"one": Offer("a")}, scores, min_sqnr=40.0)
    assert found.draft.plan.method == "a"
    assert "effort 'thorough' climbs further" in found.report.stopped
    assert "training" in up({"one": Offer("a")}, scores, effort="thorough", min_sqnr=40.0).report.stopped


def test_no_rung_begins_after_the_time_budget(up):
    found = up({"one": Offer("a")}, {"base": score(20), "a": score(30)}, deadline=time.monotonic() - 1)
    assert found.draft.plan.method == "base"
    assert "time budget ended" in found.report.stopped


@pytest.mark.parametrize(
    ("new", "old", "limits", "better"),
    [
        (score(21), score(20), {}, True),
        (score(20), score(21), {}, False),
        (score(math.nan), score(20), {}, False),
        (score(19, agreement=0.99), score(25, agreement=0.9), {"min_agreement": 0.98}, True),
        (score(19, size=900), score(25, size=1100), {"max_size": "1kB", "min_sqnr": 99.0}, True),
        (score(19, drop=0.0, samples=100), score(25, drop=4.0), {}, True),
        (score(25, drop=4.0, samples=100), score(19, drop=0.0), {}, False),
        (score(25, drop=0.5, samples=100), score(19, drop=0.0), {}, True),
    ],
)
def test_better_is_budget_then_metric_then_output_error(new, old, limits, better):
    assert is_better(new, old, BudgetSettings(**limits)) is better


@pytest.mark.parametrize(
    ("limits", "given", "met"),
    [
        ({}, score(), True),
        ({"min_sqnr": 20.0}, score(20.0), True),
        ({"min_sqnr": 20.0}, score(math.nan), False),
        ({"min_agreement": 0.9}, score(agreement=None), False),
        ({"max_drop": 0.5}, score(drop=0.5), True),
        ({"max_drop": 0.5}, score(drop=None), False),
        ({"max_size": "1kB"}, score(size=1001), False),
    ],
)
def test_limits_are_limits(limits, given, met):
    assert is_met(BudgetSettings(**limits), given) is met


def test_without_float_outputs_or_labels_there_is_nothing_to_climb_by(tmp_path):
    values = {"x": Value("x", (1, 8)), "y": Value("y", (1,), "int64")}
    node = Node("pick", "ArgMax", ("x",), ("y",), {"axis": 1})
    graph = Graph("classes", ("x",), ("y",), (node,), values, {}, {"x": 0, "y": 0})
    ascent = Ascent(graph, tmp_path / "f.onnx", None, None, Recipe(), tmp_path, Silent())  # type: ignore[arg-type]
    assert "nothing tells candidates apart" in ascent._why_no_rungs()


@pytest.mark.parametrize(
    ("before", "after", "sure"),
    [
        ((4.0, 5.0, 6.0, 5.0), (3.0, 4.1, 5.0, 3.9), True),
        ((1.0, 1.0, 1.0, 9.0), (2.0, 2.0, 2.0, 1.0), False),  # one sample's luck
        ((4.0, 5.0, 6.0, 5.0), (5.0, 6.0, 7.0, 6.0), False),
        ((), (), True),  # nothing to pair
    ],
)
def test_a_search_over_many_takes_only_what_the_samples_agree_on(before, after, sure):
    old = replace(score(20.0), noise=before)
    new = replace(score(20.0 if after and sum(after) > sum(before) else 21.0), noise=after)
    assert is_better(new, old, BudgetSettings(), surely=True) is sure


def test_a_budget_that_is_met_needs_no_agreement_of_the_samples():
    old, new = replace(score(20.0), noise=(1.0, 1.0, 9.0)), replace(score(21.0), noise=(2.0, 2.0, 1.0))
    assert not is_better(new, old, BudgetSettings(min_sqnr=30.0), surely=True)
    assert is_better(new, old, BudgetSettings(min_sqnr=20.5), surely=True)
