import dataclasses

import pytest

from edgekit.emit.exporter import float_artifact
from edgekit.ladder.climb import climb, is_met
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.mixed_precision import MixedPrecision
from edgekit.ladder.scoring import Scorer
from edgekit.ladder.weight_only import WeightOnly
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings
from tests.shrink.quantization.outliers import noise_samples, outlier_net

CALIBRATION = noise_samples(0, 24)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("rung")


@pytest.fixture(scope="module")
def draft(workdir):
    graph = outlier_net()
    float_artifact(graph, workdir / "float.onnx", metadata={})
    session = open_onnx(workdir / "float.onnx", taps=observed_values(graph))
    return Draft(graph, observe(session, graph, CALIBRATION), Plan())


@pytest.fixture(scope="module")
def scorer(draft, workdir):
    return Scorer(draft.graph, noise_samples(1000, 12), "onnx-x86", workdir)


@pytest.fixture
def evidence(scorer, workdir):
    def build(**limits):
        return Evidence(CALIBRATION, scorer, BudgetSettings(**limits), "balanced", workdir)

    return build


def test_the_collapse_is_repaired_by_the_two_layers_around_the_outlier(draft, evidence):
    asked = evidence(min_sqnr=22.0)
    before = asked.score(draft).sqnr_db
    ((what, better),) = MixedPrecision().propose(draft, asked)
    assert before < 15.0
    assert asked.score(better).sqnr_db >= 22.0
    assert set(better.plan.float_nodes) == {"expand", "project"}
    assert "of the output's noise" in better.plan.float_nodes["project"]
    assert what.startswith("2 of 8 nodes to float (block.expand (Conv), block.project (Conv))")
    assert "kB" in what
    assert "of float)" in what


def test_agreement_and_float_nodes_already_there_are_kept(draft, evidence):
    started = draft.with_plan(float_nodes={"head": "asked for"})
    ((_, better),) = MixedPrecision().propose(started, evidence(min_sqnr=25.0))
    assert better.plan.float_nodes["head"] == "asked for"
    assert {"expand", "project"} <= set(better.plan.float_nodes)


def test_the_float_model_is_no_answer(draft, evidence):
    """Nothing but float would meet this; what is proposed has nodes in int8, and the budget stays missed."""
    asked = evidence(min_sqnr=190.0)
    for _, better in MixedPrecision().propose(draft, asked):
        assert any(better.quantized.is_int8(node) for node in better.quantized.graph.nodes)
        assert not is_met(asked.budget, asked.score(better))


def test_the_size_is_respected(draft, evidence):
    size = evidence().score(draft).size_bytes
    asked = evidence(min_sqnr=190.0, max_size=f"{size + 3000} B")
    ((_, better),) = MixedPrecision().propose(draft, asked)
    assert asked.score(better).size_bytes <= size + 3000
    assert not is_met(asked.budget, asked.score(better))


def test_no_room_no_proposal(draft, evidence):
    size = evidence().score(draft).size_bytes
    assert list(MixedPrecision().propose(draft, evidence(min_sqnr=22.0, max_size=f"{size - 500} B"))) == []


def test_a_latency_that_float_layers_break_is_respected(draft, evidence):
    asked = evidence(min_sqnr=190.0, max_latency_ratio=0.011)
    assert list(MixedPrecision().propose(draft, asked)) == []


@pytest.mark.parametrize("rung", [MixedPrecision, WeightOnly])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({}, "no limit on accuracy was asked for"),
        ({"max_size": "1MB"}, "no limit on accuracy was asked for"),
        ({"min_sqnr": -10.0}, "min_sqnr kept without it"),
    ],
)
def test_refused_without_need(draft, evidence, rung, limits, reason):
    assert reason in rung().requires(draft, evidence(**limits))


@pytest.mark.parametrize("rung", [MixedPrecision, WeightOnly])
def test_wanted_when_accuracy_is_missed(draft, evidence, rung):
    assert rung().requires(draft, evidence(min_sqnr=40.0)) == ""
    assert "in float already" in rung().requires(draft.with_plan(weight_only=True), evidence(min_sqnr=99.0))


def test_weight_only_is_refused_by_a_latency_limit(draft, evidence):
    assert "never faster" in WeightOnly().requires(draft, evidence(min_sqnr=99.0, max_latency_ratio=0.7))
    assert WeightOnly().requires(draft, evidence(min_sqnr=99.0, max_latency_ratio=1.2)) == ""


def test_weight_only_helps_where_activations_are_the_trouble(draft, evidence):
    asked = evidence(min_sqnr=25.0)
    ((_, better),) = WeightOnly().propose(draft, asked)
    assert asked.score(better).sqnr_db > asked.score(draft).sqnr_db + 10
    assert asked.score(better).size_bytes < 1.1 * asked.score(draft).size_bytes


def test_the_ladder_takes_the_rungs_only_when_asked(draft, evidence):
    rungs = ("mixed-precision", "weight-only")
    plain = climb(draft, evidence(), rungs)
    assert plain.draft is draft
    assert [step.kept for step in plain.report.steps] == [True, False, False]
    asked = climb(draft, evidence(min_sqnr=22.0), rungs)
    assert set(asked.draft.plan.float_nodes) == {"expand", "project"}
    assert [step.rung for step in asked.report.steps if step.kept] == ["base", "mixed-precision"]


def test_time_that_ran_out_ends_the_search(draft, evidence):
    late = dataclasses.replace(evidence(min_sqnr=22.0), deadline=0.0)
    assert len(list(MixedPrecision().propose(draft, late))) == 1
