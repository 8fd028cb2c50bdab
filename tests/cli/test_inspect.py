from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.app import run
from edgekit.emit.exporter import emit
from edgekit.testing.linear_cases import conv_case
from edgekit.types.artifact import Format
from edgekit.types.recipe import FILES

ABOUT = {"edgekit.version": "9", "edgekit.preprocessing": '{"mean":[127.0]}'}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with a one-operator net as int8 ONNX and int8 TFLite, integers at the border."""
    for name in ("onnx-int8", "tflite-int8"):
        write(tmp_path, name, io="int8")
    return tmp_path


def write(folder: Path, name: Format, *, io: str) -> None:
    emit(conv_case().quantized, folder / FILES[name], format=name, io=io, metadata=ABOUT)


@pytest.mark.parametrize("name", ["onnx-int8", "tflite-int8"])
def test_says_what_goes_in_and_what_the_integers_mean(
    name: Format, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written / FILES[name]
    assert run(["inspect", str(file), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    quantized = conv_case().quantized
    source = quantized.graph.inputs[0]
    assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found["size_bytes"] == file.stat().st_size
    assert found["inputs"][0]["name"] == source
    assert found["inputs"][0]["dtype"] == "int8"
    assert found["inputs"][0]["zero_point"] == int(quantized.qparams[source].zero_point)
    assert np.float32(found["inputs"][0]["scale"]) == quantized.qparams[source].scale
    assert found["metadata"]["edgekit.preprocessing"] == {"mean": [127.0]}

    assert run(["inspect", str(file), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert found["sha256"] in text
    assert "real = (integer - " in text
    assert ("stored as" in text) is (name == "tflite-int8")


def test_what_is_no_model_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.int8.onnx").write_bytes(b"not a model")
    (tmp_path / "notes.txt").write_text("x")
    for name, message in (
        ("absent.onnx", "there is no file"),
        ("notes.txt", "neither .onnx nor .tflite"),
        ("model.int8.onnx", "cannot load model.int8.onnx"),
    ):
        assert run(["inspect", str(tmp_path / name), "--quiet"]) == 2
        assert message in capsys.readouterr().err


def test_a_large_model_is_named_by_both_its_files_as_in_the_report(tmp_path, monkeypatch):
    from edgekit.cli.app import run
    from edgekit.emit import onnx_builder
    from edgekit.emit.exporter import float_artifact
    from tests.emit.graphs import float_graph

    monkeypatch.setattr(onnx_builder, "PROTOBUF_LIMIT_BYTES", 1000)
    artifact = float_artifact(float_graph(), tmp_path / "big.onnx", metadata={})
    written = []
    monkeypatch.setattr("edgekit.cli.terminal.Terminal.result", lambda terminal, found: written.append(found))
    assert run(["inspect", str(tmp_path / "big.onnx"), "--json"]) == 0
    assert written[0]["sha256"] == artifact.digest
    assert written[0]["size_bytes"] == artifact.size_bytes > (tmp_path / "big.onnx").stat().st_size


def test_lists_for_each_target_what_runs_on_int8_and_why_the_rest_does_not(written, capsys):
    from edgekit.types.target import TARGETS

    file = written / FILES["onnx-int8"]
    assert run(["inspect", str(file), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["targets"]
    assert [each["target"] for each in found] == list(TARGETS)
    by_name = {each["target"]: each for each in found}
    assert [(group["op"], group["runs"]) for group in by_name["arm"]["groups"]] == [("Conv", "int8")]
    assert by_name["tensorrt"]["groups"][0]["runs"] == "refused"
    assert by_name["tensorrt"]["groups"][0]["reason"]
    assert by_name["host"]["basis"].startswith("onnxruntime")


def test_single_targets_can_be_asked_for(written, capsys):
    for name in ("onnx-int8", "tflite-int8"):
        file = written / FILES[name]
        assert run(["inspect", str(file), "--for", "xnnpack,tensorrt", "--quiet"]) == 0
        text = capsys.readouterr().out
        assert "xnnpack: 1 of 1 nodes on int8" in text
        assert "tensorrt: cannot use this file" in text
        assert "qnn" not in text
    assert run(["inspect", str(file), "--for", "arm,gpu", "--quiet"]) == 2
    assert "there is no target 'gpu'" in capsys.readouterr().err


def test_the_help_shows_examples_and_targets(capsys):
    assert run(["inspect", "--help"]) == 0
    text = capsys.readouterr().out
    assert "edgekit inspect model.x86.int8.onnx" in text
    assert "x86-avx2, x86-vnni" in " ".join(text.split())
