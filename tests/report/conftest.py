"""A report as a run leaves it, with every field filled."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.types.artifact import Artifact
from edgekit.types.finding import Finding, Severity
from edgekit.types.interval import Interval
from edgekit.types.ladder import Judgement, LadderReport, Score, Step
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.report import (
    Accuracy,
    ArtifactCheck,
    CalibrationSummary,
    CheckReport,
    Fusion,
    Latency,
    LayerQuality,
    LsbGap,
    Machine,
    ModelSummary,
    OutputSignal,
    Report,
    Signal,
)
from edgekit.types.spec import TensorSpec
from edgekit.types.target import HostCandidate, HostChoice, HostTrial
from edgekit.types.training_summary import TrainedStep, TrainingSummary

IMAGE, SCORES = TensorSpec("image", (1, 3, 32, 32), batch_axis=0), TensorSpec("scores", (1, 10), batch_axis=0)


def make_entry(format, name, **changes):
    size_bytes, permutation = (1_000_000, None) if format == "onnx-fp32" else (270_000, (0, 2, 3, 1))
    image = replace(IMAGE, permutation=permutation) if format.startswith("tflite") else IMAGE
    artifact = Artifact(Path("/somewhere/deep") / name, format, size_bytes, "sha256:ab12", (image,), (SCORES,))
    if format == "onnx-fp32":
        return ArtifactCheck(artifact, 1.0, latency=Latency(8.0, 8.0, Interval(1, 1, 1), "onnx-fp32", 20, 1))
    good = ArtifactCheck(
        artifact,
        0.27,
        signal=Signal(32, 24.15, (OutputSignal("scores", 24.15, None),), Interval(0.975, 0.93, 0.99)),
        reference=LsbGap(format, "reference", 1, 0.999, 20, 2),
        fusion=Fusion(12, 1, 12, 1, 2, {"QLinearConv": 12, "Exp": 1}, ("gate (Exp)",), None),
        latency=Latency(5.2, 8.0, Interval(0.65, 0.62, 0.68), "onnx-fp32", 20, 1),
        accuracy=Accuracy(200, 0.88, 0.875, Interval(-0.005, -0.02, 0.01), 2, 1),
    )
    return replace(good, **changes)


def make_report(**changes):
    machine = Machine("Some CPU", ("avx2",), 4, "Linux x86_64", {"onnxruntime": "1.32.0", "numpy": "2.4.6"})
    layer = LayerQuality(
        "features.3.conv (Conv)", "h3", 12.5, math.inf, -1.0, 3.0, 0.0157, -64, 0.012, 40.0, ("too | narrow",)
    )
    check = CheckReport(
        machine,
        32,
        "photos/",
        (
            make_entry("onnx-fp32", "model.fp32.onnx"),
            make_entry("onnx-int8", "model.int8.onnx"),
            make_entry("tflite-int8", "model.int8.tflite", latency=None, accuracy=None),
        ),
        (LsbGap("onnx-int8", "tflite-int8", 1, 1.0, 320, 32),),
        (layer,),
        (Finding("op-left-float", "1 node computed in float: gate (Exp)", Severity.NOTE, "gate (Exp)"),),
        7.5,
    )
    report = Report(
        version="0.1.0",
        command="edgekit compress model.pt2 --calibration photos/",
        model=ModelSummary(
            "net", "model.pt2", "sha256:cd34", (IMAGE,), (SCORES,), 250_000, 13, 12, (("gate (Exp)", "no kernel"),)
        ),
        calibration=CalibrationSummary("photos/", 128, 32, (Finding("few-samples", "only 9 photos"),)),
        recipe={"emit": {"io": "float", "formats": ("onnx-int8",)}, "quantize": {"pair_safe": True}},
        check=check,
        findings=(Finding("frozen-axis", "axis 2 was frozen at 32", Severity.NOTE, hint="see --input"),),
        preprocessing=Preprocessing((32, 32), 36, (127.0,), (128.0,)),
        seconds={"load": 1.5, "check": 7.5},
    )
    return replace(report, **changes)


def make_ladder():
    base, better, worse = (Score(db, 0.97, None, 270_000, 24) for db in (20.0, 23.5, 19.0))
    return LadderReport(
        "balanced",
        (
            Step("base", True, "min-max ranges", None, base, 1, 0.5),
            Step("hessian-rounding", True, "12 weights", base, better, 2, 3.0),
            Step("range-search", False, "6 ranges by MSE: no better", better, worse, 3, 4.0),
            Step("weight-only", False, "no limit on accuracy was asked for", better),
        ),
        "the rungs ran out",
        "onnx-x86",
        24,
    )


@pytest.fixture
def ladder():
    return make_ladder()


@pytest.fixture
def judgements():
    """One limit kept, one missed."""
    return (
        Judgement("max_size", "onnx-int8", 300_000.0, 270_000.0, True),
        Judgement("min_sqnr", "tflite-int8", 25.0, 24.15, False),
        Judgement("min_agreement", "onnx-int8", 0.95, 0.975, True, "not proved: 32 samples"),
    )


@pytest.fixture
def host():
    """One candidate chosen, one that did not run."""
    safe = HostCandidate("u8s8-pair-safe", "uint8", "int8", "pair-safe", {"session.x64quantprecision": "0"})
    other = HostCandidate("u8u8", "uint8", "uint8", "full")
    ran = HostTrial(safe, 24.0, 0.99, Interval(0.66, 0.64, 0.68), accurate=True)
    return HostChoice("u8s8-pair-safe", "accurate and fast", (ran, HostTrial(other, error="no kernel")), 16, 0.5)


@pytest.fixture
def training():
    """A net that was pruned in an earlier run, then distilled."""
    steps = (
        TrainedStep("as given", "", 40_813_184, 272_474, 0.858, 0.4),
        TrainedStep("pruned", "2x, group-norm", 20_400_000, 140_000, 0.603, 12.5, 0.91),
        TrainedStep("distilled", "100 epochs from self", 20_400_000, 140_000, 0.846, 700.0),
    )
    return TrainingSummary("train.py:loader", 5000, steps, ("pruned",))


@pytest.fixture
def report():
    return make_report()


@pytest.fixture
def report_with():
    """report_with(findings=...) replaces fields; check=... takes fields of the CheckReport as a dict."""

    def build(*, check=None, **changes):
        base = make_report()
        return replace(base, check=replace(base.check, **(check or {})), **changes)

    return build


@pytest.fixture
def entry():
    return make_entry
