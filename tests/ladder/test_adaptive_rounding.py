"""Adaptive rounding on the real runtime: where it helps, and where it has nothing to offer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgekit.ladder.adaptive_rounding import AdaptiveRounding
from edgekit.ladder.climb import climb
from edgekit.types.plan import Plan
from edgekit.types.sample_set import SampleSet
from tests.ladder.smooth import evidence_of, pictures, smooth_net


@pytest.fixture
def graph():
    return smooth_net()


@pytest.mark.parametrize("scheme", ["pair-safe", "7-bit"])
def test_output_error_falls_on_samples_that_did_not_calibrate(graph, tmp_path, scheme):
    draft, evidence = evidence_of(graph, tmp_path, Plan(scheme=scheme), effort="thorough")
    (what, better), (plain, rounded) = AdaptiveRounding().propose(draft, evidence)
    assert what.startswith("3 weights rounded and regressed")
    assert set(better.plan.weights) == {"w1", "w2", "w3"}
    assert evidence.score(better).sqnr_db > evidence.score(draft).sqnr_db + 0.4
    assert plain.startswith("3 weights rounded behind")
    assert evidence.score(rounded).sqnr_db > evidence.score(draft).sqnr_db + 0.2


def test_refused_where_no_layer_computes_in_int8(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan(weight_only=True), effort="thorough")
    assert "no convolution or linear layer has an int8 weight" in AdaptiveRounding().requires(draft, evidence)
    assert AdaptiveRounding().requires(draft.with_plan(weight_only=False), evidence) == ""


def test_refused_where_there_is_too_little_data_to_learn_from(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan(), effort="thorough")
    few = dataclasses.replace(evidence, samples=pictures(0, 3))
    assert "3 calibration samples" in AdaptiveRounding().requires(draft, few)


def test_what_was_learned_from_data_unlike_the_real_one_is_not_kept(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan(), effort="thorough")
    draft = draft.with_plan(weights=next(iter(AdaptiveRounding().propose(draft, evidence)))[1].plan.weights)

    def black(index):
        return {"x": np.full((1, 2, 12, 12), 1e-3, np.float32)}

    misled = dataclasses.replace(evidence, samples=SampleSet(np.arange(4), black, "lens cap on"))
    climbed = climb(draft, misled, ["adaptive-rounding"])
    step = climbed.report.steps[-1]
    assert (step.rung, step.kept, step.tried) == ("adaptive-rounding", False, 2)
    assert "no better on samples that did not calibrate" in step.outcome
    assert climbed.draft is draft
