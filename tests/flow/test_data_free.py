"""Without calibration data: inputs synthesized to match BatchNorm statistics, or only the weights in int8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import edgekit
from edgekit.cli.app import run
from edgekit.digest import of_file
from edgekit.runtime.ort import open_onnx
from edgekit.types.artifact import FORMATS
from edgekit.types.finding import Severity
from edgekit.types.recipe import FILES, CheckSettings, EmitSettings, QuantizeSettings, Recipe
from tests.flow.trained import QUICK, Project, compress, pictures

INT8 = ("onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8")
SHAPE = "image:1x3x16x16"


@pytest.fixture(scope="module")
def synthesized(project: Project) -> Path:
    out = project.new("synthesized")
    assert compress(project.path("net.pt2"), "--out", out) == 0
    return out


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def findings_of(folder: Path) -> dict[str, dict]:
    return {finding["code"]: finding for finding in report_of(folder)["findings"]}


def test_synthesized_inputs_calibrate_well_enough_for_real_ones(synthesized: Path, project: Project) -> None:
    images, labels = pictures(100, 9)
    session = open_onnx(synthesized / FILES["onnx-int8"])
    (logits,) = session.run({"image": images}).values()
    expected = project.logits(images)
    assert (logits.argmax(1) == expected.argmax(1)).mean() >= 0.9
    assert (logits.argmax(1) == labels).mean() >= (expected.argmax(1) == labels).mean() - 0.07


def test_a_report_without_data_says_so_first(synthesized: Path) -> None:
    report, finding = report_of(synthesized), findings_of(synthesized)["calibrated-without-data"]
    assert finding["severity"] == "warning"
    assert "--calibration" in finding["hint"]
    assert "BatchNorm" in report["calibration"]["source"]
    assert "no calibration data" in (synthesized / "report.md").read_text().lower()


@pytest.mark.parametrize(("format", "said"), [("onnx-fp32", "neither calibration data"), ("onnx-x86", "already")])
def test_targets_without_ranges_are_refused_before_the_work(
    synthesized: Path, capfd: pytest.CaptureFixture[str], format: str, said: str
) -> None:
    out = synthesized.with_name("targets")
    words = ["compress", str(synthesized / FILES[format]), "--out", str(out), "--for", "arm,host", *QUICK]
    assert run(words) == 2
    told = capfd.readouterr().err
    assert "emit.targets = arm, host" in told
    assert said in told
    assert "calibrate" not in told
    assert not out.exists()


@pytest.mark.parametrize("flags", [["--weight-bits", "4"], ["--set", "quantize.weight_only=true"]])
def test_a_quantized_model_is_not_quantized_in_another_way(
    synthesized: Path, capfd: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    out = synthesized.with_name("otherwise")
    assert run(["compress", str(synthesized / FILES["onnx-x86"]), "--out", str(out), *flags, *QUICK]) == 2
    assert "the model is quantized already: those are kept" in capfd.readouterr().err
    assert not out.exists()


def test_the_terminal_says_loudly_what_is_missing(synthesized: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The float file of a run has its BatchNorms folded, so nothing is left to synthesize from."""
    out = synthesized.with_name("loud")
    words = ["compress", str(synthesized / FILES["onnx-fp32"]), "--out", str(out), "--formats", "onnx-int8", *QUICK]
    assert run(words) == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "warning: only the weights are int8" in printed
    assert "no calibration data" in printed
    assert "pass 100 or more real inputs with --calibration" in printed


def test_synthesis_repeats_itself(synthesized: Path, project: Project) -> None:
    out = project.new()
    assert compress(project.path("net.pt2"), "--recipe", synthesized / "recipe.toml", "--out", out) == 0
    for name in (FILES[format] for format in FORMATS):
        assert of_file(out / name) == of_file(synthesized / name), name


def plain_net() -> nn.Module:
    import torch

    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(24, 256), nn.LayerNorm(256), nn.GELU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 6)
    ).eval()


@pytest.fixture(scope="module")
def weights_only(tmp_path_factory: pytest.TempPathFactory) -> edgekit.CompressResult:
    return edgekit.compress(
        plain_net(),
        inputs=[edgekit.TensorSpec("x", (1, 24))],
        out=tmp_path_factory.mktemp("weights") / "out",
        recipe=Recipe(check=CheckSettings(seconds=0.2)),
    )


def test_a_net_without_batchnorm_gets_int8_weights_and_a_warning(weights_only: edgekit.CompressResult) -> None:
    (finding,) = [finding for finding in weights_only.findings if finding.code == "weight-only"]
    assert finding.severity is Severity.WARNING
    assert "activations stay float" in finding.message
    assert "--calibration" in finding.hint
    assert weights_only.report.calibration.samples == 0


@pytest.mark.parametrize("format", INT8)
def test_weight_only_files_are_small_and_close(weights_only: edgekit.CompressResult, format: str) -> None:
    entry = next(e for e in weights_only.report.check.artifacts if e.artifact.format == format)
    assert entry.error == ""
    assert entry.size_ratio < 0.4
    assert entry.signal is not None
    assert entry.signal.sqnr_db is not None
    assert entry.signal.sqnr_db > 30


def test_weight_only_can_be_asked_for_and_is_no_warning_then(project: Project, tmp_path: Path) -> None:
    recipe = Recipe(
        quantize=QuantizeSettings(weight_only=True),
        emit=EmitSettings(formats=("onnx-int8",)),
        check=CheckSettings(seconds=0.2),
    )
    images, _ = pictures(20, 5)
    result = edgekit.compress(project.root / "net.pt2", calibration=images, out=tmp_path / "out", recipe=recipe)
    codes = {finding.code: finding.severity for finding in result.findings}
    assert codes.get("weight-only") is Severity.NOTE
    assert (result.report.calibration.samples, result.report.calibration.held_back) == (15, 5)  # for the biases
    found = open_onnx(result.files["onnx-int8"]).run({"image": images})
    np.testing.assert_allclose(next(iter(found.values())), project.logits(images), atol=0.35)
