import dataclasses

import numpy as np
import pytest

from edgekit.emit.exporter import float_artifact
from edgekit.ladder.climb import climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.range_search import RangeSearch
from edgekit.ladder.scoring import Scorer
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.ladder import Score
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings
from edgekit.types.sample_set import SampleSet
from tests.shrink.quantization.graphs import two_branches


def inputs(start, count, *, spike=1.0, size=1.0):
    """Random maps in +-`size`; in every eighth, one pixel is `spike` times as large as any other."""

    def read(index):
        values = np.random.default_rng(index).uniform(-size, size, (1, 3, 6, 6)).astype(np.float32)
        if index % 8 == 0:
            values[0, index // 8 % 3, 2, 3] *= spike
        return {"x": values}

    return SampleSet(np.arange(start, start + count), read, "random maps")


def prepared(folder, *, spike=1.0, scored_size=1.0, effort="balanced", plan=None):
    """Two convolutions added up, calibrated on maps in +-1 with spikes and scored on maps without."""
    graph = two_branches(joined="Add")
    float_artifact(graph, folder / "float.onnx", metadata={})
    calibration, scoring = inputs(0, 64, spike=spike), inputs(1000, 32, size=scored_size)
    histograms = observe(open_onnx(folder / "float.onnx", taps=observed_values(graph)), graph, calibration)
    evidence = Evidence(calibration, Scorer(graph, scoring, "onnx-x86", folder), BudgetSettings(), effort, folder)
    return Draft(graph, histograms, plan or Plan()), evidence


@pytest.mark.parametrize("effort", ["balanced", "thorough"])
def test_ranges_that_spikes_spoiled_are_found_again(tmp_path, effort):
    draft, evidence = prepared(tmp_path, spike=60.0, effort=effort)
    result = climb(draft, evidence, ["range-search"])
    assert result.report.steps[-1].kept
    assert result.report.steps[-1].after.sqnr_db > result.report.steps[-1].before.sqnr_db + 5


def test_where_min_max_is_right_the_rung_is_refused(tmp_path):
    draft, evidence = prepared(tmp_path, scored_size=1.4)
    assert RangeSearch().requires(draft, evidence) == ""
    result = climb(draft, evidence, ["range-search"])
    assert not result.report.steps[-1].kept
    assert result.draft is draft


def test_without_quantized_activations_there_is_no_range(tmp_path):
    draft, evidence = prepared(tmp_path, plan=Plan(weight_only=True))
    assert "no range" in RangeSearch().requires(draft, evidence)


def test_a_score_holds_the_noise_of_every_sample(tmp_path):
    draft, evidence = prepared(tmp_path)
    score = evidence.score(draft)
    assert len(score.noise) == score.samples == 32
    exact = [output["y"] for output in evidence.score._outputs]
    signal = sum(float((array.astype(np.float64) ** 2).sum()) for array in exact)
    assert 10 * np.log10(signal / sum(score.noise)) == pytest.approx(score.sqnr_db, abs=1e-6)


@pytest.mark.parametrize(("after", "kept"), [((0.5, 0.6, 0.4, 0.5), True), ((1.2, 1.2, 1.2, -1.6), False)])
def test_a_refined_range_is_kept_only_where_the_samples_agree(tmp_path, after, kept):
    draft, evidence = prepared(tmp_path, spike=60.0, effort="thorough")

    def score(candidate):
        refined = bool(candidate.plan.ranges)
        noise = tuple(10.0 + value for value in after) if refined else (11.0,) * 4
        return Score(20.0 + refined, 1.0, None, 1000, 4, noise)

    evidence = dataclasses.replace(evidence, score=score)
    proposals = [what for what, _ in RangeSearch().propose(draft, evidence)]
    assert any("tensor(s)" in what for what in proposals) is kept
