from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.types.artifact import FORMATS
from edgekit.types.recipe import FILES

WRITTEN = [FILES[name] for name in FORMATS]


@pytest.mark.slow
def test_every_file_sees_what_the_float_net_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EfficientNet-Lite0, its real weights, real photographs: the whole path, as `make demo` runs it."""
    assert run(["demo", "--out", str(tmp_path), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    answers = found["photographs"]
    assert answers["coffee"]["float torch"]["name"] == "espresso"
    sure = {photo: row for photo, row in answers.items() if row["float torch"]["probability"] > 0.5}
    assert len(sure) >= 3
    for photo, row in sure.items():
        assert {says["name"] for says in row.values()} == {row["float torch"]["name"]}, photo
    for model in ("onnx-int8", "tflite-int8"):
        same = [row[model]["name"] == row["float torch"]["name"] for row in answers.values()]
        assert sum(same) >= len(same) - 2, f"{model}: {sum(same)} of {len(same)}"
    sizes = {name: (tmp_path / name).stat().st_size for name in WRITTEN}
    for name in WRITTEN:
        assert name == FILES["onnx-fp32"] or sizes[name] < 0.3 * sizes[FILES["onnx-fp32"]], name
