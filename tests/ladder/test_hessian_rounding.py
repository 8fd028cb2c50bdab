import numpy as np
import pytest

from edgekit.ladder import hessian_rounding
from edgekit.ladder.climb import climb
from edgekit.ladder.hessian_rounding import Few, HessianRounding
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from tests.ladder.smooth import evidence_of, pictures, smooth_net
from tests.shrink.quantization.graphs import CONV, make


@pytest.fixture
def graph():
    return smooth_net()


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
