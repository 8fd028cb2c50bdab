import numpy as np
import pytest

from edgekit.emit.exporter import float_artifact
from edgekit.ladder import hessian_rounding
from edgekit.ladder.climb import climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.hessian_rounding import Few, HessianRounding
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


def evidence_of(graph, folder, plan):
    path = folder / "float.onnx"
    float_artifact(graph, path, metadata={})
    histograms = observe(open_onnx(path, taps=observed_values(graph)), graph, pictures(0, 40))
    scorer = Scorer(graph, pictures(1000, 20), "onnx-x86", folder)
    evidence = Evidence(pictures(0, 40), scorer, BudgetSettings(), "balanced", folder)
    return Draft(graph, histograms, plan), evidence


@pytest.mark.parametrize("scheme", ["pair-safe", "7-bit"])
def test_output_error_falls_on_samples_that_did_not_calibrate(graph, tmp_path, scheme):
    draft, evidence = evidence_of(graph, tmp_path, Plan(scheme=scheme))
    (first, *_) = HessianRounding().propose(draft, evidence)
    what, better = first
    assert what.startswith("3 weights")
    assert set(better.plan.weights) == {"w1", "w2", "w3"}
    assert evidence.score(better).sqnr_db > evidence.score(draft).sqnr_db + 0.3


def test_refused_where_no_layer_computes_in_int8(graph, tmp_path):
    draft, evidence = evidence_of(graph, tmp_path, Plan(weight_only=True))
    assert "no convolution or linear layer computes in int8" in HessianRounding().requires(draft, evidence)
    int8 = draft.with_plan(weight_only=False)
    assert HessianRounding().requires(int8, evidence) == ""


def test_layers_too_long_for_memory_stay_as_they_are(graph, tmp_path, monkeypatch):
    draft, evidence = evidence_of(graph, tmp_path, Plan())
    monkeypatch.setattr(hessian_rounding, "LARGEST_DEPTH", 18)
    ((_, better),) = HessianRounding().propose(draft, evidence)
    assert set(better.plan.weights) == {"w1", "w2"}
    monkeypatch.setattr(hessian_rounding, "LARGEST_DEPTH", 8)
    assert "more than 8 inputs" in HessianRounding().requires(draft, evidence)


def test_the_ladder_keeps_what_it_had_where_nearest_is_already_exact(tmp_path):
    integers = np.random.default_rng(0).integers(-40, 41, (4, 2, 3, 3))
    integers[:, 0, 0, 0] = 127
    graph = make(
        [Node("n", "Conv", ("x", "w"), ("y",), CONV)],
        {"x": (1, 2, 12, 12), "y": (1, 4, 12, 12)},
        {"w": (integers / 128).astype(np.float32)},
        outputs=("y",),
    )
    draft, evidence = evidence_of(graph, tmp_path, Plan(scheme="full"))
    kept = climb(draft, evidence, ("hessian-rounding",))
    assert kept.draft is draft
    step = kept.report.steps[-1]
    assert (step.rung, step.kept, step.tried) == ("hessian-rounding", False, 1)
    assert "no better" in step.outcome


@pytest.mark.parametrize(("count", "expected"), [(5, 5), (32, 32), (40, 32), (70, 32), (100, 32), (0, 0)])
def test_few_samples_are_evenly_spread_and_the_same_on_every_walk(count, expected):
    few = Few(pictures(0, count), 32)
    assert few.count == expected
    assert len(list(few)) == expected
    walks = [[float(sample["x"][0, 0, 0, 0]) for sample in few] for _ in range(2)]
    assert walks[0] == walks[1]
