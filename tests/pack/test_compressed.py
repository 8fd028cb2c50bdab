"""The folder of a compression: read as something that anybody may have put there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.pack.compressed import open_compressed
from edgekit.types.preprocessing import Preprocessing


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    report = json.loads((folder / "report.json").read_text())
    change(report)
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_reads_what_was_written(made: Path) -> None:
    found = open_compressed(made)
    assert {entry.artifact.format for entry in found.told.check.artifacts} >= {"onnx-fp32", "onnx-x86", "tflite-int8"}
    assert len(found.told.calibration.digest) == 64
    assert found.is_pair_safe
    assert found.architecture in ("amd64", "arm64")
    x86 = found.check_of("onnx-x86")
    assert x86
    assert x86.accuracy
    assert x86.accuracy.samples == 24
    assert found.check_of("onnx-vnni") is None


def test_the_recipe_keeps_names_and_loses_folders(made: Path) -> None:
    recipe = open_compressed(made).recipe
    assert recipe
    assert recipe.calibration.data == "x.npz"
    assert "/" not in recipe.to_toml()


def test_a_report_of_before_this_version_is_read(result: Path) -> None:
    """It says nothing of the samples' digest; fields of later versions are passed over."""

    def change(report: dict[str, Any]) -> None:
        del report["calibration"]["digest"]
        report["of_tomorrow"] = {"x": 1}

    assert open_compressed(changed(result, change)).told.calibration.digest == ""


def test_preprocessing_comes_along(result: Path) -> None:
    spec = Preprocessing((8, 8), None, (127.0,), (128.0,))

    def change(report: dict[str, Any]) -> None:
        report["preprocessing"] = {**spec.to_dict(), "resize": None}

    assert open_compressed(changed(result, change)).told.preprocessing == spec


def wrong_path(report: dict[str, Any]) -> None:
    report["check"]["artifacts"][1]["artifact"]["path"] = "../../etc/passwd"


def wrong_format(report: dict[str, Any]) -> None:
    report["check"]["artifacts"][1]["artifact"]["format"] = "onnx-int3"


def wrong_schema(report: dict[str, Any]) -> None:
    report["schema"] = "edgekit.bench/1"


def wrong_type(report: dict[str, Any]) -> None:
    report["calibration"]["samples"] = "many"


def no_size(report: dict[str, Any]) -> None:
    report["check"]["artifacts"][1]["artifact"]["inputs"][0]["shape"] = [1, 0, 8, 8]


def huge(report: dict[str, Any]) -> None:
    report["check"]["artifacts"][1]["artifact"]["inputs"][0]["shape"] = [2**20, 2**20, 8, 8]


def incomplete(report: dict[str, Any]) -> None:
    del report["check"]["artifacts"][1]["artifact"]["digest"]


@pytest.mark.parametrize("change", [wrong_path, wrong_format, wrong_schema, wrong_type, no_size, huge, incomplete])
def test_what_compress_did_not_write_is_refused(change: Callable[[dict[str, Any]], None], result: Path) -> None:
    with pytest.raises(InputError):
        open_compressed(changed(result, change))


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1, "schema": 2}', "[]", "[" * 100, "NaN"])
def test_what_is_no_report_is_refused(text: str, result: Path) -> None:
    (result / "report.json").write_text(text)
    with pytest.raises(InputError, match=r"report\.json"):
        open_compressed(result)


def test_a_report_that_is_too_large_is_not_read(result: Path) -> None:
    with (result / "report.json").open("ab") as stream:
        stream.truncate(17 * 2**20)
    with pytest.raises(InputError, match="bytes"):
        open_compressed(result)


def test_a_result_without_a_recipe_has_none(result: Path) -> None:
    (result / "recipe.toml").unlink()
    found = open_compressed(result)
    assert found.recipe is None
    assert not found.is_pair_safe
