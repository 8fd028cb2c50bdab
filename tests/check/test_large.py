import weakref
from dataclasses import replace

import numpy as np
import pytest

from edgekit.check import compare as together
from edgekit.check import large
from edgekit.check.accuracy import Task
from edgekit.check.compare import compare
from edgekit.errors import CheckError, InputError


def run(net, artifacts, *, held_back=None, **settings):
    samples = net.samples.select(range(8)) if held_back is None else held_back
    return compare(artifacts, quantized=net.quantized, held_back=samples, budget_seconds=20.0, **settings)


@pytest.fixture
def any_net_is_large(monkeypatch):
    monkeypatch.setattr(large, "LARGE_BYTES", 0)


@pytest.fixture(scope="module")
def usual(small_net):
    return run(small_net, small_net.list())


def test_what_is_measured_is_what_open_files_say(small_net, usual, any_net_is_large):
    found = run(small_net, small_net.list())
    assert found.samples == usual.samples == 8
    for entry, expected in zip(found.artifacts, usual.artifacts, strict=True):
        assert entry.artifact == expected.artifact
        assert entry.size_ratio == expected.size_ratio
        if entry.artifact.format != "onnx-qop":  # for audits: run on fewer samples
            assert entry.signal == expected.signal
    audits = {"onnx-qop"}
    shipped = [gap for gap in usual.pairs if not audits & {gap.first, gap.second}]
    assert [gap for gap in found.pairs if not audits & {gap.first, gap.second}] == shipped
    assert len(shipped) == 3


def test_what_is_left_out_is_told(small_net, any_net_is_large):
    found = run(small_net, small_net.list())
    (note,) = [finding for finding in found.findings if finding.code == "check-shortened"]
    assert all(word in note.message for word in ("latency", "reference", "executed graphs", "worst layers"))
    assert found.layers == ()
    for entry in found.artifacts:
        assert (entry.error, entry.latency, entry.reference, entry.fusion) == ("", None, None, None)


def test_small_models_are_not_shortened(usual):
    assert "check-shortened" not in {finding.code for finding in usual.findings}
    assert usual.artifacts[1].latency is not None


def test_one_file_is_open_at_a_time(small_net, any_net_is_large, monkeypatch):
    opened, formats = weakref.WeakSet(), []

    def watch(artifact, quantized, **settings):
        assert not list(opened), f"{artifact.format} is opened while another file still is"
        subject = original(artifact, quantized, **settings)
        opened.add(subject.session)
        formats.append(artifact.format)
        return subject

    original = large.open_subject
    monkeypatch.setattr(large, "open_subject", watch)
    monkeypatch.setattr(together, "open_subject", watch)
    run(small_net, small_net.list())
    assert formats == list(small_net.files)


def test_accuracy_is_that_of_open_files(small_net, samples_of, any_net_is_large, monkeypatch):
    labelled = samples_of(40, seed=9, labels=np.arange(40) % 5)
    files = small_net.list("onnx-fp32", "onnx-int8", "onnx-qop", "tflite-int8")
    found = run(small_net, files, task=Task(labelled))
    monkeypatch.setattr(large, "LARGE_BYTES", 10**9)
    expected = run(small_net, files, task=Task(labelled))
    assert [entry.accuracy for entry in found.artifacts] == [entry.accuracy for entry in expected.artifacts]
    assert found.artifacts[1].accuracy.samples == 40


def test_a_wrong_file_is_still_found(small_net, rewrite, any_net_is_large):
    weights = small_net.quantized.integers["w2"].copy()
    weights[::2] = -weights[::2]
    integers = {**small_net.quantized.integers, "w2": weights}
    _, files = rewrite(small_net.quantized, formats=("tflite-int8",), integers=integers)
    found = run(small_net, [*small_net.list("onnx-fp32", "onnx-int8"), files["tflite-int8"]])
    assert "files-disagree" in {finding.code for finding in found.findings}


def test_files_and_samples_that_do_not_fit_are_told_as_ever(small_net, tmp_path, any_net_is_large):
    path = tmp_path / "model.int8.tflite"
    path.write_bytes(b"\x00" * 64)
    broken = replace(small_net.files["tflite-int8"], path=path)
    found = run(small_net, [*small_net.list("onnx-fp32", "onnx-int8"), broken])
    assert found.artifacts[2].error
    assert found.artifacts[1].signal is not None
    with pytest.raises(CheckError, match="no onnx-fp32"):
        run(small_net, small_net.list("onnx-int8"))
    narrow = replace(small_net.samples, read=lambda position: {"image": np.zeros((1, 2, 12, 12), np.float32)})
    with pytest.raises(InputError):
        run(small_net, small_net.list(), held_back=narrow)


def test_without_samples_the_files_are_still_loaded(small_net, any_net_is_large):
    found = run(small_net, small_net.list(), held_back=small_net.samples.select([]))
    assert found.samples == 0
    assert all((entry.error, entry.signal) == ("", None) for entry in found.artifacts)
