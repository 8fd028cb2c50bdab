import math
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.check.evidence import Evidence, KernelGap
from edgekit.check.findings import judge
from edgekit.check.intervals import newcombe_paired, wilson
from edgekit.types.artifact import Artifact
from edgekit.types.finding import Severity
from edgekit.types.interval import Interval
from edgekit.types.report import (
    Accuracy,
    ArtifactCheck,
    Fusion,
    Latency,
    LayerQuality,
    LsbGap,
    Machine,
    OutputSignal,
    Signal,
)

AVX2 = Machine("Some Xeon", ("avx2",), 4, "Linux x86_64", {})
VNNI = Machine("New Xeon", ("avx2", "avx_vnni"), 4, "Linux x86_64", {})
FUSION = Fusion(planned_int8=10, planned_float=0, int8=10, float=0, conversions=2, operators={"QLinearConv": 10})
LATENCY = Latency(5.0, 10.0, Interval(0.5, 0.48, 0.52), "onnx-fp32", 30, 1)
SIGNAL = Signal(20, 25.0, (OutputSignal("y", 25.0, None),), wilson(20, 20))
NAMES = {"onnx-fp32": "model.fp32.onnx", "onnx-int8": "model.int8.onnx", "tflite-int8": "model.int8.tflite"}
NAMES["onnx-x86"] = "model.x86.int8.onnx"


def entry(format="onnx-int8", **changes):
    artifact = Artifact(Path(NAMES.get(format, "model.qop.int8.onnx")), format, 1000, "", (), ())
    good = ArtifactCheck(artifact, 0.27, signal=SIGNAL, fusion=FUSION, latency=LATENCY)
    return replace(good, **changes)


def evidence(*entries, machine=AVX2, samples=32, **changes):
    return Evidence(machine, samples, (entry("onnx-fp32", size_ratio=1.0), *entries), **changes)


def codes(found):
    return [finding.code for finding in found]


def one(found, code):
    (finding,) = [finding for finding in found if finding.code == code]
    return finding


def test_good_files_are_left_in_peace():
    gap = LsbGap("onnx-int8", "tflite-int8", 1, 1.0, 100, 10)
    near = LsbGap("onnx-int8", "reference", 1, 1.0, 100, 2)
    same = KernelGap(25.0, 24.9, gap)
    found = judge(evidence(entry(reference=near), entry("tflite-int8"), pairs=(gap,), kernels={"onnx-int8": same}))
    assert found == ()


def test_a_file_that_does_not_run_is_an_error_with_the_runtimes_words():
    finding = one(judge(evidence(entry(error="no kernel for Foo(1)", signal=None))), "runtime-failed")
    assert finding.severity is Severity.ERROR
    assert "no kernel for Foo(1)" in finding.message
    assert finding.where == "model.int8.onnx"


def test_nan_is_an_error():
    broken = replace(SIGNAL, outputs=(OutputSignal("y", math.nan, None),))
    assert one(judge(evidence(entry(signal=broken))), "not-finite-output").severity is Severity.ERROR


def test_saturation_is_named_on_avx2_only():
    kernels = {"onnx-int8": KernelGap(19.1, 8.1, LsbGap("onnx-int8", "plain QDQ", 64, 0.4, 100, 8))}
    finding = one(judge(evidence(entry(), kernels=kernels)), "saturation")
    assert "19.1 dB" in finding.message
    assert "64 LSB" in finding.message
    assert "VNNI" in finding.message
    assert "from the float model" in finding.hint  # what another tool decided cannot be made pair-safe
    assert codes(judge(evidence(entry(), kernels=kernels, machine=VNNI))) == ["runtime-differs"]


@pytest.mark.parametrize(("plain", "runtime"), [(19.1, 18.5), (math.inf, 75.0), (math.inf, math.inf), (19.1, 22.0)])
def test_no_saturation_without_a_loss(plain, runtime):
    assert judge(evidence(entry(), kernels={"onnx-int8": KernelGap(plain, runtime, None)})) == ()


def test_tflite_is_not_blamed_for_the_pairs_of_ort():
    kernels = {"tflite-int8": KernelGap(19.1, 8.1, None)}
    assert codes(judge(evidence(entry("tflite-int8"), kernels=kernels))) == ["runtime-differs"]


def test_disagreement_carries_its_address():
    gap = LsbGap("onnx-int8", "tflite-int8", 40, 0.5, 100, 10, where="features.3 (Conv): up to 40 LSB")
    finding = one(judge(evidence(entry(), entry("tflite-int8"), pairs=(gap,))), "files-disagree")
    assert "features.3 (Conv)" in finding.message
    assert finding.where == "features.3 (Conv)"


@pytest.mark.parametrize(("worst", "share", "fires"), [(8, 0.97, False), (9, 1.0, True), (2, 0.969, True)])
def test_disagreement_starts_beyond_the_bound(worst, share, fires):
    gap = LsbGap("onnx-int8", "tflite-int8", worst, share, 100, 10)
    found = codes(judge(evidence(entry(), entry("tflite-int8"), pairs=(gap,))))
    assert found == (["files-disagree"] if fires else [])


@pytest.mark.parametrize(
    ("worst", "share", "where", "code"),
    [
        (4, 0.9, "", "rounding-adds-up"),
        (4, 0.9, "features.3 (Conv): up to 4 LSB", "reference-disagrees"),
        (9, 0.99, "", "reference-disagrees"),
    ],
)
def test_small_steps_without_a_guilty_node_are_a_note(worst, share, where, code):
    """The files' own disagreement is explained by it and not told again."""
    gap = LsbGap("onnx-int8", "reference", worst, share, 100, 4, where)
    pair = LsbGap("onnx-int8", "tflite-int8", worst, share, 100, 10)
    (finding,) = judge(evidence(entry(reference=gap), entry("tflite-int8"), pairs=(pair,)))
    assert finding.code == code
    assert (finding.severity is Severity.NOTE) == (code == "rounding-adds-up")


def test_a_saturated_file_is_told_once():
    gap = LsbGap("onnx-int8", "tflite-int8", 64, 0.4, 100, 10)
    kernels = {"onnx-int8": KernelGap(19.1, 8.1, gap)}
    found = judge(evidence(entry(reference=gap), entry("tflite-int8"), pairs=(gap,), kernels=kernels))
    assert codes(found) == ["saturation"]


def test_reference_disagreement():
    gap = LsbGap("onnx-int8", "reference", 30, 0.9, 100, 2)
    assert "30 LSB" in one(judge(evidence(entry(reference=gap))), "reference-disagrees").message


def test_low_sqnr_names_the_worst_layer():
    layer = LayerQuality("features.9 (Conv)", "v", 3.0, 30.0, -1, 1, 0.01, 0, 0.02, 40.0, ("too narrow",))
    poor = replace(SIGNAL, outputs=(OutputSignal("y", 4.0, None),))
    found = judge(evidence(entry(signal=poor), layers=(layer,)))
    assert "features.9 (Conv)" in one(found, "low-sqnr").message
    assert "too narrow" in one(found, "low-sqnr-layer").message


def test_inherited_noise_is_not_a_layers_fault():
    layer = LayerQuality("head (Gemm)", "v", 3.0, 3.5, -1, 1, 0.01, 0, 0.0, 1.0, ())
    assert judge(evidence(entry(), layers=(layer,))) == ()


@pytest.mark.parametrize(
    ("agreed", "count", "fires"), [(20, 20, False), (12, 20, True), (7, 8, False), (175, 200, True)]
)
def test_low_agreement_must_be_more_than_chance(agreed, count, fires):
    found = judge(evidence(entry(signal=replace(SIGNAL, top1_agreement=wilson(agreed, count)))))
    assert ("low-agreement" in codes(found)) == fires


@pytest.mark.parametrize(("lost", "won", "fires"), [(30, 2, True), (10, 8, False)])
def test_accuracy_loss_must_be_more_than_chance(lost, won, fires):
    both, neither = 180 - lost, 20 - won
    accuracy = Accuracy(200, 0.9, (both + won) / 200, newcombe_paired(both, won, lost, neither), lost, won)
    assert ("accuracy-loss" in codes(judge(evidence(entry(accuracy=accuracy))))) == fires


def test_slower_than_float_gives_every_cause():
    slow = Latency(20.0, 10.0, Interval(2.0, 1.9, 2.1), "onnx-fp32", 30, 1)
    fusion = replace(FUSION, left_float=("features.3 (Conv)",), conversions=40)
    finding = one(judge(evidence(entry(latency=slow, fusion=fusion))), "int8-slower-than-float")
    assert finding.severity is Severity.WARNING
    for cause in ("20.0 ms", "2.00 times", "1 of 10 planned", "features.3 (Conv)", "40 conversions", "no VNNI"):
        assert cause in finding.message
    with_vnni = one(judge(evidence(entry(latency=slow), machine=VNNI)), "int8-slower-than-float")
    assert "VNNI" not in with_vnni.message


def test_a_tie_with_float_is_a_note():
    tie = Latency(10.0, 10.0, Interval(1.01, 0.97, 1.04), "onnx-fp32", 30, 1)
    assert one(judge(evidence(entry(latency=tie))), "int8-not-faster").severity is Severity.NOTE


def test_the_canonical_file_may_be_slow_where_another_is_meant():
    slow = Latency(20.0, 10.0, Interval(2.0, 1.9, 2.1), "onnx-fp32", 30, 1)
    alone = one(judge(evidence(entry(latency=slow))), "int8-slower-than-float")
    beside = one(judge(evidence(entry(latency=slow), entry("onnx-x86"))), "int8-slower-than-float")
    on_arm = replace(AVX2, isa=("asimd",), system="Linux aarch64")
    arm = one(judge(evidence(entry(latency=slow), entry("onnx-x86"), machine=on_arm)), "int8-slower-than-float")
    assert [alone.severity, beside.severity, arm.severity] == [Severity.WARNING, Severity.NOTE, Severity.WARNING]
    assert "model.x86.int8.onnx" in beside.hint
    assert "dot-product" in arm.message


def test_tiny_models_pay_at_the_border():
    slow = Latency(0.08, 0.04, Interval(2.0, 1.9, 2.1), "onnx-fp32", 30, 1)
    assert "so small" in one(judge(evidence(entry(latency=slow))), "int8-slower-than-float").message


def test_qoperator_and_undelegated_tflite_explain_themselves():
    slow = Latency(20.0, 10.0, Interval(2.0, 1.9, 2.1), "onnx-fp32", 30, 1)
    audit = one(judge(evidence(entry("onnx-qop", latency=slow))), "int8-slower-than-float")
    lite = entry("tflite-int8", latency=slow, fusion=replace(FUSION, delegated=0))
    assert "QOperator" in audit.message
    assert audit.severity is Severity.NOTE
    assert "XNNPACK takes none" in one(judge(evidence(lite)), "int8-slower-than-float").message


@pytest.mark.parametrize(("ratio", "fires"), [(0.9, False), (0.91, True), (1.4, True)])
def test_file_not_smaller(ratio, fires):
    assert ("file-not-smaller" in codes(judge(evidence(entry(size_ratio=ratio))))) == fires


def test_files_with_the_same_fault_are_told_together():
    poor = replace(SIGNAL, outputs=(OutputSignal("y", 4.0, None),), top1_agreement=wilson(12, 20))
    entries = (entry(signal=poor, size_ratio=1.2), entry("tflite-int8", signal=poor, size_ratio=1.3))
    found = judge(evidence(*entries))
    assert sorted(codes(found)) == ["file-not-smaller", "low-agreement", "low-sqnr"]
    for finding in found:
        assert "model.int8.onnx" in finding.message
        assert "model.int8.tflite" in finding.message
    assert "120.0 %" in one(found, "file-not-smaller").message
    assert "130.0 %" in one(found, "file-not-smaller").message


def test_file_not_smaller_knows_why():
    few = one(judge(evidence(entry(size_ratio=1.4))), "file-not-smaller")
    kept = one(judge(evidence(entry(size_ratio=1.4), float_bytes=900)), "file-not-smaller")
    assert "few weights" in few.message
    assert "900 B of the constants stay float" in kept.message


def test_islands_are_grouped_by_reason():
    islands = (("a (Exp)", "no int8 kernel"), ("b (Exp)", "no int8 kernel"), ("c (Conv)", "asked for"))
    found = [finding for finding in judge(evidence(entry(), islands=islands)) if finding.code == "op-left-float"]
    assert [finding.message.split(" ")[0] for finding in found] == ["2", "1"]
    assert "no int8 kernel" in found[0].message


def test_planned_int8_that_ran_in_float_is_noted():
    found = judge(evidence(entry(fusion=replace(FUSION, left_float=("x (Mul)",) * 5))))
    assert "and 2 more" in one(found, "planned-int8-ran-float").message


@pytest.mark.parametrize(("samples", "fires"), [(9, True), (10, False)])
def test_few_samples(samples, fires):
    assert ("few-held-back-samples" in codes(judge(evidence(entry(), samples=samples)))) == fires
