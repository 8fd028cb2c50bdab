import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.emit.exporter import float_artifact
from edgekit.ladder.climb import climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.equalization import Equalization
from edgekit.ladder.scoring import Scorer
from edgekit.load.trace import trace
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.outliers import outlier_net, outlier_samples
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec


def sample_set(count, seed):
    drawn = outlier_samples(count, seed=seed)
    return SampleSet(np.arange(count), lambda index: drawn[index], "outlier samples")


def prepared(folder, *, factor, plan=None):
    """The net as the ladder gets it: base draft and evidence, scored on 64 samples that did not calibrate."""
    path = folder / "outlier.onnx"
    trace(outlier_net(factor=factor), (TensorSpec("image", (1, 3, 16, 16)),), path)
    graph = simplify(path, name="outlier").graph
    float_artifact(graph, folder / "float.onnx", metadata={})
    calibration, scoring = sample_set(48, 0), sample_set(64, 1)
    histograms = observe(open_onnx(folder / "float.onnx", taps=observed_values(graph)), graph, calibration)
    evidence = Evidence(calibration, Scorer(graph, scoring, "onnx-x86", folder), BudgetSettings(), "balanced", folder)
    return Draft(graph, histograms, plan or Plan()), evidence


def test_a_net_with_outlier_channels_collapses_and_is_repaired(tmp_path):
    draft, evidence = prepared(tmp_path, factor=64.0)
    before = evidence.score(draft)
    assert before.sqnr_db < 10
    assert before.agreement < 0.6
    assert Equalization().requires(draft, evidence) == ""
    result = climb(draft, evidence, ["equalization"])
    assert result.report.steps[-1].kept
    assert result.report.steps[-1].after.sqnr_db > 25
    assert result.report.steps[-1].after.agreement > 0.9
    assert "largest channel was" in result.report.steps[-1].outcome


def test_channels_that_are_even_already_are_refused(tmp_path):
    draft, evidence = prepared(tmp_path, factor=64.0)
    *_, (_, even) = Equalization().propose(draft, evidence)  # the last is strength 1
    assert "even already" in Equalization().requires(even, evidence)
    result = climb(even, evidence, ["equalization"])
    assert not result.report.steps[-1].kept
    assert result.draft is even


def test_without_quantized_activations_there_is_nothing_to_gain(tmp_path):
    draft, evidence = prepared(tmp_path, factor=64.0, plan=Plan(weight_only=True))
    assert "no activation is quantized" in Equalization().requires(draft, evidence)
