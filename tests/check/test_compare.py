from dataclasses import replace

import numpy as np
import pytest

from edgekit.check.accuracy import Task
from edgekit.check.compare import compare
from edgekit.check.machine import describe_machine
from edgekit.errors import CheckError
from edgekit.runtime.ort import open_onnx
from edgekit.types.artifact import FORMATS
from edgekit.types.finding import Severity
from edgekit.types.sample_set import SampleSet


def run(net, *, artifacts=None, quantized=None, held_back=None, **settings):
    return compare(
        list(net.files.values()) if artifacts is None else artifacts,
        quantized=quantized or net.quantized,
        held_back=net.samples if held_back is None else held_back,
        budget_seconds=2.0,
        **settings,
    )


def codes(report):
    return {finding.code for finding in report.findings}


@pytest.fixture(scope="module")
def report(small_net):
    return run(small_net)


def test_everything_is_measured_on_every_file(report, small_net):
    assert [entry.artifact.format for entry in report.artifacts] == list(FORMATS)
    assert report.baseline is report.artifacts[0]
    assert report.samples == small_net.samples.count
    for entry in report.artifacts[1:]:
        assert entry.error == ""
        assert entry.signal.sqnr_db > 30
        assert entry.signal.top1_agreement.estimate > 0.8
        assert entry.reference.max_lsb <= 1
        assert entry.fusion.planned_int8 == 6
        assert entry.latency.ratio.low <= entry.latency.ratio.estimate <= entry.latency.ratio.high
        assert entry.latency.baseline == "onnx-fp32"
        assert entry.accuracy is None
    assert {(gap.first, gap.second) for gap in report.pairs} >= {("onnx-int8", "tflite-int8")}
    assert len(report.layers) == 6
    assert 0 < report.seconds < 30


def test_sizes_are_those_of_the_files(report, small_net):
    for entry in report.artifacts:
        assert entry.artifact.size_bytes == small_net.files[entry.artifact.format].path.stat().st_size
    ratio = report.artifacts[-1].artifact.size_bytes / report.artifacts[0].artifact.size_bytes
    assert report.artifacts[-1].size_ratio == pytest.approx(ratio)


def test_a_right_file_is_called_right(report):
    """This net is too small to gain from int8; nothing else may be found."""
    assert codes(report) <= {
        "int8-slower-than-float",
        "int8-not-faster",
        "file-not-smaller",
        "planned-int8-ran-float",
    }


def test_a_wrong_file_is_found_with_its_node(small_net, rewrite):
    weights = small_net.quantized.integers["w2"].copy()
    weights[::2] = -weights[::2]
    integers = {**small_net.quantized.integers, "w2": weights}
    _, files = rewrite(small_net.quantized, formats=("tflite-int8",), integers=integers)
    found = run(small_net, artifacts=[*small_net.list("onnx-fp32", "onnx-int8"), files["tflite-int8"]])
    assert {"files-disagree", "reference-disagrees", "runtime-differs"} & codes(found)
    (gap,) = found.pairs
    assert gap.where.startswith("block.depthwise (Conv): up to")
    assert gap.where.endswith("(in tflite-int8)")


def test_a_file_that_does_not_load_does_not_stop_the_others(small_net, tmp_path):
    path = tmp_path / "model.int8.tflite"
    path.write_bytes(b"\x00" * 64)
    broken = replace(small_net.files["tflite-int8"], path=path)
    found = run(small_net, artifacts=[*small_net.list("onnx-fp32", "onnx-int8"), broken])
    (finding,) = [finding for finding in found.findings if finding.code == "runtime-failed"]
    assert finding.severity is Severity.ERROR
    assert found.artifacts[1].signal is not None
    assert found.artifacts[2].error
    assert (found.artifacts[2].signal, found.artifacts[2].latency) == (None, None)


def test_without_a_float_file_there_is_nothing_to_compare_with(small_net, tmp_path):
    with pytest.raises(CheckError, match="no onnx-fp32"):
        run(small_net, artifacts=small_net.list("onnx-int8"))
    path = tmp_path / "model.fp32.onnx"
    path.write_bytes(b"junk")
    with pytest.raises(CheckError, match=r"model\.fp32\.onnx"):
        run(small_net, artifacts=[replace(small_net.files["onnx-fp32"], path=path)])


def test_without_samples_only_files_are_looked_at(small_net):
    found = run(small_net, held_back=small_net.samples.select([]))
    assert found.samples == 0
    assert "few-held-back-samples" in codes(found)
    assert all(entry.signal is None for entry in found.artifacts)
    assert all(entry.latency is not None for entry in found.artifacts)


def test_accuracy_needs_labels(small_net, samples_of):
    labelled = samples_of(60, seed=9, labels=np.arange(60) % 5)
    found = run(small_net, artifacts=small_net.list("onnx-fp32", "onnx-int8", "onnx-qop"), task=Task(labelled))
    accuracy = found.artifacts[1].accuracy
    assert accuracy.samples == 60
    assert accuracy.accuracy == pytest.approx(accuracy.baseline + accuracy.difference.estimate)
    assert accuracy.difference.low <= 0 <= accuracy.difference.high
    assert found.artifacts[2].accuracy is None  # for audits, not for shipping
    assert "accuracy-not-measured" not in codes(found)
    plain = run(small_net, artifacts=small_net.list("onnx-fp32", "onnx-int8"), task=Task(samples_of(10)))
    assert "accuracy-not-measured" in codes(plain)


@pytest.mark.parametrize("label", [5, 77, -1])
def test_labels_beyond_the_classes_are_told_and_not_counted_as_errors(small_net, samples_of, label):
    labels = np.array([label, *range(5), 0, 0])
    found = run(small_net, artifacts=small_net.list("onnx-fp32", "onnx-int8"), task=Task(samples_of(8, labels=labels)))
    assert found.artifacts[1].accuracy is None
    (finding,) = [finding for finding in found.findings if finding.code == "accuracy-not-measured"]
    assert f"1 of the 8 labels in {samples_of(1).source}" in finding.message
    assert f"5 classes of output scores: labels run from {min(label, 0)} to {max(label, 4)}" in finding.message


def test_perfect_labels_give_the_float_model_full_marks(small_net, samples_of):
    samples = samples_of(30, seed=5)
    session = open_onnx(small_net.files["onnx-fp32"].path)
    labels = np.array([session.run(sample)["scores"].argmax() for sample in samples])
    found = run(
        small_net,
        artifacts=small_net.list("onnx-fp32", "tflite-int8"),
        task=Task(SampleSet(samples.positions, samples.read, "labelled", classes=labels)),
    )
    accuracy = found.artifacts[1].accuracy
    assert accuracy.baseline == 1.0
    assert accuracy.won == 0


def test_islands_are_told(island_net):
    found = run(island_net, artifacts=island_net.list("onnx-fp32", "onnx-int8", "tflite-int8"))
    (finding,) = [finding for finding in found.findings if finding.code == "op-left-float"]
    assert "gate (Exp)" in finding.message


@pytest.mark.skipif(not describe_machine().saturates_pairs, reason="this CPU sums int8 products without saturating")
def test_saturation_is_found_on_this_cpu_and_cured_by_pair_safe_weights(loud_net):
    risky, safe = run(loud_net("full")), run(loud_net("pair-safe"))
    (finding, *_) = [finding for finding in risky.findings if finding.code == "saturation"]
    assert "VNNI" in finding.message
    assert "saturation" not in codes(safe)
