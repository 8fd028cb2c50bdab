"""A trial runs a file in a process of its own, and outlives whatever that does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit.errors import CheckError, MissingExtraError
from edgekit.pack.compressed import Compressed
from edgekit.pack.trial import run_trial
from edgekit.runtime import agent_process
from edgekit.runtime.golden_job import Subject
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.spec import TensorSpec

IMAGES = np.random.default_rng(3).normal(0, 1, (4, 1, 3, 8, 8)).astype(np.float32)


def subject_of(compressed: Compressed, format: str) -> Subject:
    entry = compressed.check_of(format)
    assert entry
    file = entry.artifact
    runtime = "litert" if file.is_tflite else "onnxruntime"
    return Subject(compressed.folder / file.path, runtime, file.inputs, file.outputs)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    np.savez(tmp_path / "inputs.npz", image=IMAGES)
    return tmp_path / "inputs.npz"


@pytest.mark.parametrize("format", ["onnx-qop", "tflite-int8"])
def test_gives_what_the_runtime_gives_here(format: str, compressed: Compressed, inputs: Path, tmp_path: Path) -> None:
    subject = subject_of(compressed, format)
    found = run_trial(subject, inputs)
    session = open_tflite(subject.file) if format.startswith("tflite") else open_onnx(subject.file)
    expected = np.stack([session.run({"image": image})["logits"] for image in IMAGES])
    assert np.array_equal(found.answers["logits"], expected)
    assert 20 * 2**20 < found.peak_rss_bytes < 2**30
    assert found.packages["numpy"] == np.__version__
    assert len(found.digest) == 64


def with_python(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Another program in place of the agent, which reads its job first."""
    monkeypatch.setattr(agent_process, "_START", f"import os, sys, time; sys.stdin.readline(); {program}")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("os.abort()", "ended its process by signal 6"),
        ("sys.exit('\\x1b[31mno\\nway')", "ended with code 1"),
        ("print('{\"event\"'); time.sleep(9)", "does not run"),
        ('print(\'{"event": "error", "kind": "refused", "message": "no"}\', flush=True)', "does not run: no"),
        ("time.sleep(60)", "came to no end within 1 s"),
    ],
)
def test_a_process_that_breaks_down(
    program: str,
    message: str,
    compressed: Compressed,
    inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_python(monkeypatch, program)
    with pytest.raises(CheckError, match=message):
        run_trial(subject_of(compressed, "onnx-qop"), inputs, timeout_s=1.0)


def test_a_runtime_that_is_not_installed_is_named_by_its_extra(
    compressed: Compressed, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = (
        "sys.modules['onnxruntime'] = None; sys.path.append(sys.argv[1]); from edgekit.agent.main import run; run()"
    )
    monkeypatch.setattr(agent_process, "_START", f"import sys; {without}")
    with pytest.raises(MissingExtraError, match="onnxruntime") as caught:
        run_trial(subject_of(compressed, "onnx-qop"), inputs)
    assert "edgekit-ml[pack]" in caught.value.hint


def test_outputs_that_the_report_does_not_know(compressed: Compressed, inputs: Path, tmp_path: Path) -> None:
    known = subject_of(compressed, "onnx-qop")
    other = Subject(known.file, known.runtime, known.inputs, (TensorSpec("scores", (1, 5)),))
    with pytest.raises(CheckError, match="its outputs are logits, and should be scores"):
        run_trial(other, inputs)


def test_a_model_does_not_get_to_know_a_passphrase(
    compressed: Compressed, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is opened while the environment holds it, and a model's runtime is code that somebody else wrote."""
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "correct horse")
    with_python(monkeypatch, "sys.exit(os.environ.get('EDGEKIT_PASSPHRASE', 'knows nothing'))")
    with pytest.raises(CheckError, match="ended with code 1: knows nothing"):
        run_trial(subject_of(compressed, "onnx-qop"), inputs)


def test_weights_in_a_file_of_somebody_else(compressed: Compressed, inputs: Path, tmp_path: Path) -> None:
    known = subject_of(compressed, "onnx-qop")
    weights = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../secret")
    graph = onnx.GraphProto(name="g", initializer=[weights])
    (tmp_path / "net.onnx").write_bytes(onnx.ModelProto(ir_version=10, graph=graph).SerializeToString())
    subject = dataclasses.replace(known, file=tmp_path / "net.onnx")
    with pytest.raises(CheckError, match=r"has weights in '\.\./secret', which is none of its files"):
        run_trial(subject, inputs)
