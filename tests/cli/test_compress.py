from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli.app import INTERRUPTED, TERMINATED, run
from edgekit.types.artifact import FORMATS
from edgekit.types.recipe import FILES, Recipe
from tests.interruption import hear_interrupts

REPORTS = {"recipe.toml", "report.json", "report.md"}
WRITTEN = {FILES[name] for name in FORMATS}


def test_leaves_the_files_and_prints_the_report_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = model.parent / "out"
    words = ["compress", str(model), "--calibration", str(model.with_name("x.npz")), "--out", str(out), "--json"]
    assert run(words) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report == json.loads((out / "report.json").read_text())
    assert report["command"] == "edgekit " + " ".join(words)
    assert {path.name for path in out.iterdir()} == {*WRITTEN, *REPORTS}
    assert "✓ calibrate" in printed.err


def test_prints_the_report_for_people(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = model.parent / "out"
    words = ["compress", str(model), "--calibration", str(model.with_name("x.npz")), "--out", str(out)]
    assert run([*words, "--formats", "onnx-int8"]) == 0
    printed = capsys.readouterr().out
    assert "model.int8.onnx" in printed
    assert str(out) in printed.replace("\n", "")
    assert {path.name for path in out.iterdir()} == {FILES["onnx-fp32"], FILES["onnx-int8"], *REPORTS}


def test_flags_win_over_the_file_beside_the_model_and_both_are_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model.parent / "edgekit.toml").write_text(
        "[calibration]\ndata = 'x.npz'\nsamples = 12\nseed = 3\n[emit]\nformats = ['onnx-int8']\n"
    )
    monkeypatch.chdir("/")
    out = model.parent / "out"
    assert run(["compress", str(model), "--out", str(out), "--samples", "20", "--quiet"]) == 0
    recipe = Recipe.from_file(out / "recipe.toml")
    assert (recipe.calibration.samples, recipe.calibration.seed) == (20, 3)
    assert Path(recipe.calibration.data).resolve() == model.with_name("x.npz")
    assert recipe.emit.formats == ("onnx-int8",)


def test_the_written_recipe_makes_the_same_bytes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with relative paths, from another folder: a recipe's paths are relative to where it stands."""
    monkeypatch.chdir(model.parent)
    assert run(["compress", "net.onnx", "--calibration", "x.npz", "--seed", "5", "--out", "runs/a", "--quiet"]) == 0
    monkeypatch.chdir("/")
    runs = model.parent / "runs"
    assert (
        run(["compress", str(model), "--recipe", str(runs / "a/recipe.toml"), "--out", str(runs / "b"), "--quiet"]) == 0
    )
    for name in (*WRITTEN, "recipe.toml"):
        assert (runs / "a" / name).read_bytes() == (runs / "b" / name).read_bytes(), name


@pytest.mark.parametrize("formats", ["", ",", " "])
def test_an_empty_list_of_formats_is_not_all_of_them(
    formats: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compress", str(model), "--formats", formats, "--out", str(model.parent / "out")]) == 2
    assert "emit.formats is empty" in capsys.readouterr().err
    assert not (model.parent / "out").exists()


@pytest.mark.parametrize(
    "words", [["absent.onnx"], ["net.onnx", "--calibration", "absent.npz"], ["x.npz"]], ids=" ".join
)
def test_what_cannot_be_used_is_one_error_and_leaves_nothing(
    words: list[str], model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    before = sorted(model.parent.iterdir())
    assert run(["compress", *words, "--out", "out", "--json", "--quiet"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["exit_code"] == 2
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    assert sorted(model.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, INTERRUPTED, "interrupted"), (signal.SIGTERM, TERMINATED, "terminated")],
)
def test_an_interruption_leaves_nothing_half_written(number: int, code: int, word: str, model: Path) -> None:
    """SIGINT or SIGTERM while it works: its exit code, one line, and a folder as before."""
    before = sorted(model.parent.iterdir())
    words = ["compress", str(model), "--calibration", str(model.with_name("x.npz")), "--out", str(model.parent / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    ) as process:
        assert process.stderr is not None
        assert "✓" in process.stderr.readline(), "the first stage is done, the others are not"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err.strip().splitlines()[-1] == f"{word}, nothing was left half-written"
    assert "Traceback" not in err
    assert sorted(model.parent.iterdir()) == before
