"""Adaptive rounding on the real runtime: where it helps, and where it has nothing to offer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgekit.emit.exporter import float_artifact
from edgekit.ladder.adaptive_rounding import AdaptiveRounding
from edgekit.ladder.climb import climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.scoring import Scorer
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings
from edgekit.types.sample_set import SampleSet
from tests.shrink.quantization.graphs import CONV, make, weights

INF = float("inf")


@pytest.fixture
def graph():
    """Three layers whose inputs are smooth, so that neighbouring taps say nearly the same."""
    depthwise = {**CONV, "group": 8}
    nodes = [
        Node("first", "Conv", ("x", "w1", "b1"), ("h",), CONV, "first", (0.0, INF)),
        Node("depthwise", "Conv", ("h", "w2"), ("d",), depthwise, "depthwise"),
        Node("last", "Conv", ("d", "w3"), ("y",), CONV, "last"),
    ]
    shapes = {"x": (1, 2, 12, 12), "h": (1, 8, 12, 12), "d": (1, 8, 12, 12), "y": (1, 4, 12, 12)}
    constants = {
        "w1": weights(1, 8, 2, 3, 3),
        "b1": weights(2, 8, 1)[:, 0],
        "w2": weights(3, 8, 1, 3, 3),
        "w3": weights(4, 4, 8, 3, 3),
    }
    return make(nodes, shapes, constants, outputs=("y",))


def pictures(start, count):
    """Smooth random maps."""

    def read(index):
        coarse = np.random.default_rng(index).normal(size=(1, 2, 3, 3))
        return {"x": np.kron(coarse, np.ones((4, 4))).astype(np.float32)}

    return SampleSet(np.arange(start, start + count), read, "smooth maps")


def evidence_of(graph, folder, plan, *, count=40):
    path = folder / "float.onnx"
    float_artifact(graph, path, metadata={})
    histograms = observe(open_onnx(path, taps=observed_values(graph)), graph, pictures(0, count))
    scorer = Scorer(graph, pictures(1000, 20), "onnx-x86", folder)
    evidence = Evidence(pictures(0, count), scorer, BudgetSettings(), "thorough", folder)
    return Draft(graph, histograms, plan), evidence


@pytest.mark.parametrize("scheme", ["pair-safe", "7-bit"])
def test_output_error_falls_on_samples_that_did_not_calibrate(graph, tmp_path, scheme):
    draft, evidence = evidence_of(graph, tmp_path, Plan(scheme=scheme))
    (what, better), (plain, rounded) = AdaptiveRounding().propose(draft, evidence)
    assert what.startswith("3 weights rounded and regressed")
    assert set(better.plan.weights) == {"w1", "w2", "w3"}
    assert evidence.score(better).sqnr_db > evidence.score(draft).sqnr_db + 0.4
    assert plain.startswith("3 weights rounded behind")
    assert evidence.score(rounded).sqnr_db > evidence.score(draft).sqnr_db + 0.2


def test_refused_where_no_layer_computes_in_int8(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan(weight_only=True))
    assert "no convolution or linear layer has an int8 weight" in AdaptiveRounding().requires(draft, evidence)
    assert AdaptiveRounding().requires(draft.with_plan(weight_only=False), evidence) == ""


def test_refused_where_there_is_too_little_data_to_learn_from(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan())
    few = dataclasses.replace(evidence, samples=pictures(0, 3))
    assert "3 calibration samples" in AdaptiveRounding().requires(draft, few)


def test_what_was_learned_from_data_unlike_the_real_one_is_not_kept(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan())
    draft = draft.with_plan(weights=next(iter(AdaptiveRounding().propose(draft, evidence)))[1].plan.weights)

    def black(index):
        return {"x": np.full((1, 2, 12, 12), 1e-3, np.float32)}

    misled = dataclasses.replace(evidence, samples=SampleSet(np.arange(4), black, "lens cap on"))
    climbed = climb(draft, misled, ["adaptive-rounding"])
    step = climbed.report.steps[-1]
    assert (step.rung, step.kept, step.tried) == ("adaptive-rounding", False, 2)
    assert "no better on samples that did not calibrate" in step.outcome
    assert climbed.draft is draft
