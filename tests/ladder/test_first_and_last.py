import dataclasses

import numpy as np
import pytest

from edgekit.emit.exporter import float_artifact
from edgekit.ladder import first_and_last
from edgekit.ladder.ascent import _why_integer_borders
from edgekit.ladder.climb import climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.first_and_last import FirstAndLast
from edgekit.ladder.scoring import Scorer
from edgekit.load.trace import trace
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.first_and_last import FIRST
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings, EmitSettings, Recipe
from edgekit.types.sample_set import SampleSet
from tests.shrink.quantization.graphs import make

COUNT = 28


def samples_of(name, first, count):
    drawn = sample_inputs(name, COUNT)
    return SampleSet(np.arange(first, first + count), lambda index: drawn[index], "drawn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rung")


@pytest.fixture(scope="module")
def draft(folder):
    trace(build("mobilenet_v3"), NETS["mobilenet_v3"].inputs, folder / "traced.onnx")
    graph = simplify(folder / "traced.onnx", name="mobilenet_v3").graph
    float_artifact(graph, folder / "float.onnx", metadata={})
    session = open_onnx(folder / "float.onnx", taps=observed_values(graph))
    return Draft(graph, observe(session, graph, samples_of("mobilenet_v3", 0, 20)), Plan())


@pytest.fixture(scope="module")
def evidence(draft, folder):
    scorer = Scorer(draft.graph, samples_of("mobilenet_v3", 20, 8), "onnx-x86", folder)
    return Evidence(samples_of("mobilenet_v3", 0, 20), scorer, BudgetSettings(), "balanced", folder)


def asking(evidence, **limits):
    return dataclasses.replace(evidence, budget=BudgetSettings(**limits))


def test_first_layers_in_float_and_an_unrounded_result_help(draft, evidence):
    asked = asking(evidence, min_sqnr=90.0)
    assert FirstAndLast().requires(draft, asked) == ""
    reached = climb(draft, asked, ("first-and-last",))
    step = reached.report.steps[-1]
    assert step.kept
    assert step.after.sqnr_db > step.before.sqnr_db + 1.5
    assert "not rounded" in step.outcome
    assert set(reached.draft.plan.float_nodes.values()) == {FIRST}
    assert reached.draft.plan.float_nodes.keys() == {
        node.name for node in draft.graph.nodes[: len(reached.draft.plan.float_nodes)]
    }


def test_it_goes_no_further_than_the_budget_needs(draft, evidence):
    tried = list(FirstAndLast().propose(draft, asking(evidence, min_sqnr=90.0)))
    (_, first), *_ = tried
    enough = evidence.score(first).sqnr_db - 0.01
    assert len(list(FirstAndLast().propose(draft, asking(evidence, min_sqnr=enough)))) == 1
    assert len(tried) > 1


def test_refused_without_a_missed_limit_on_accuracy(draft, evidence):
    assert "costs speed" in FirstAndLast().requires(draft, evidence)
    assert "kept without it" in FirstAndLast().requires(draft, asking(evidence, min_sqnr=1.0))
    kept = climb(draft, evidence, ("first-and-last",))
    assert kept.draft is draft
    assert not kept.report.steps[-1].kept


def test_a_limit_on_latency_is_not_overstepped(draft, evidence):
    assert list(FirstAndLast().propose(draft, asking(evidence, min_sqnr=90.0, max_latency_ratio=0.01))) == []


def test_float_nodes_asked_for_keep_their_reason(draft, evidence, monkeypatch):
    monkeypatch.setattr(first_and_last, "MOST_SHARE", 0.6)
    first = draft.graph.nodes[0].name
    started = draft.with_plan(float_nodes={first: "asked for"})
    *_, (_, longest) = FirstAndLast().propose(started, asking(evidence, min_sqnr=90.0))
    assert longest.plan.float_nodes[first] == "asked for"
    assert len(longest.plan.float_nodes) > 1


def test_refused_where_the_borders_are_to_be_integers(draft, evidence):
    asked = dataclasses.replace(evidence, integer_borders="integer inputs and outputs were asked for")
    assert FirstAndLast().requires(draft, asked) == "integer inputs and outputs were asked for"


def test_refused_where_everything_is_float_already(draft, evidence):
    assert "float already" in FirstAndLast().requires(draft.with_plan(weight_only=True), evidence)


def test_refused_where_there_is_nothing_to_cut(folder):
    graph = make([Node("a", "Add", ("x", "x"), ("y",))], {"x": (1, 4), "y": (1, 4)}, {}, outputs=("y",))
    float_artifact(graph, folder / "add.onnx", metadata={})
    samples = SampleSet(np.arange(4), lambda index: {"x": np.float32([[0.1, -0.7, 1.3, index]])}, "rows")
    draft = Draft(graph, observe(open_onnx(folder / "add.onnx", taps=observed_values(graph)), graph, samples), Plan())
    evidence = Evidence(samples, Scorer(graph, samples, "onnx-x86", folder), BudgetSettings(), "balanced", folder)
    asked = asking(evidence, min_sqnr=150.0)
    assert "no Gemm in int8 writes an output" in FirstAndLast().requires(draft, asked)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (EmitSettings(), ""),
        (EmitSettings(targets=("x86-avx2", "xnnpack")), ""),
        (EmitSettings(io="int8"), "integer inputs and outputs were asked for"),
        (EmitSettings(targets=("arm", "qnn")), "qnn would leave float layers to another processor"),
    ],
)
def test_recipes_that_want_integer_borders(settings, reason):
    assert _why_integer_borders(Recipe(emit=settings)) == reason
