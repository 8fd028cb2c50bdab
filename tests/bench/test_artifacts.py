"""Artifacts as they lie on a disk: names of their own, quality from the report beside them, nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.bench.artifacts import collect
from edgekit.errors import InputError


def test_a_folder_is_its_files(artifacts: Path) -> None:
    files = collect([artifacts])
    assert [file.artifact.name for file in files] == ["net.fp32.onnx", "net.int8.onnx", "net.int8.tflite"]
    assert [file.artifact.runtime for file in files] == ["onnxruntime", "onnxruntime", "litert"]
    assert files[1].artifact.digest == digest.of_file(artifacts / "net.int8.onnx")
    assert files[2].border["inputs"][0]["permutation"] == [0, 2, 3, 1]
    assert files[1].border == {}


def test_files_of_one_name_are_told_apart_by_their_folders(artifacts: Path, tmp_path: Path) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        shutil.copy(artifacts / "net.int8.onnx", tmp_path / folder)
    names = [file.artifact.name for file in collect([tmp_path / "old", tmp_path / "new"])]
    assert names == ["old/net.int8.onnx", "new/net.int8.onnx"]


def test_the_same_file_twice_is_one(artifacts: Path) -> None:
    assert len(collect([artifacts / "net.int8.onnx", artifacts])) == 3


@pytest.mark.parametrize(
    ("entry", "quality", "name"),
    [
        ({"accuracy": {"accuracy": 0.91, "metric": "top-1"}}, 0.91, "top-1"),
        ({"accuracy": None, "signal": {"top1_agreement": {"estimate": 0.99}}}, 0.99, "agreement with float"),
        ({"accuracy": None, "signal": None}, None, ""),
        ({"accuracy": "high"}, None, ""),
    ],
)
def test_quality_comes_from_the_report_beside_the_file(
    artifacts: Path, tmp_path: Path, entry: dict[str, object], quality: float | None, name: str
) -> None:
    shutil.copy(artifacts / "net.int8.onnx", tmp_path)
    whole = digest.of_file(tmp_path / "net.int8.onnx")
    report = {"check": {"artifacts": [{"artifact": {"digest": whole}, **entry}]}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    found = collect([tmp_path])[0].artifact
    assert (found.quality, found.quality_name) == (quality, name)


def test_a_report_of_another_file_says_nothing(artifacts: Path, tmp_path: Path) -> None:
    shutil.copy(artifacts / "net.int8.onnx", tmp_path)
    report = {"check": {"artifacts": [{"artifact": {"digest": "0" * 64}, "accuracy": {"accuracy": 1.0}}]}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert collect([tmp_path])[0].artifact.quality is None


def test_what_is_no_artifact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for places, words in (
        ([tmp_path / "absent.onnx"], "no file"),
        ([tmp_path / "notes.txt"], "neither"),
        ([tmp_path], "no .onnx or .tflite"),
        ([], "no artifact"),
    ):
        with pytest.raises(InputError, match=words):
            collect(places)


def test_a_damaged_tflite_is_for_the_device_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 40)
    assert collect([tmp_path])[0].border == {}


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").touch()
    with pytest.raises(InputError, match="is empty"):
        collect([tmp_path])
