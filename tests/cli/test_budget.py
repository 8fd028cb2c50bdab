from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.app import run
from edgekit.types.recipe import FILES, Recipe


def words(model: Path, *more: str) -> list[str]:
    data = str(model.with_name("x.npz"))
    return [
        "compress",
        str(model),
        "--calibration",
        data,
        "--formats",
        "onnx-x86",
        "--out",
        str(model.parent / "o"),
        *more,
    ]


def test_a_budget_that_is_met_ends_the_climb(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words(model, "--min-sqnr", "10", "--max-size", "1MB", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["met"] for one in report["judgements"]] == [True, True]
    assert [step["rung"] for step in report["ladder"]["steps"]] == ["base"]
    assert "budget" in report["ladder"]["stopped"]
    assert Recipe.from_file(model.parent / "o" / "recipe.toml").budget.min_sqnr == 10


def test_a_budget_out_of_reach_leaves_the_best_found_and_the_code_of_a_check_error(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words(model, "--min-sqnr", "150", "--max-latency-ratio", "0.9", "--json")) == 4
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert "min_sqnr 150 dB, measured" in printed.err
    assert (model.parent / "o" / FILES["onnx-x86"]).exists()
    assert report["ladder"]["steps"][0]["rung"] == "base"
    assert len(report["ladder"]["steps"]) > 2


def test_the_metric_of_the_user_is_held_against_its_limit(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = model.with_name("task.py")
    task.write_text("def score(outputs, label):\n    return -float(abs(outputs['logits']).max())\n")
    labelled = model.with_name("labelled.npz")
    images = np.load(model.with_name("x.npz"))["image"]
    np.savez(labelled, image=images, labels=np.arange(len(images)) % 5)
    metric = ["--eval", str(labelled), "--metric", f"{task}:score"]
    assert run(words(model, *metric, "--max-drop", "50", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    (judgement,) = report["judgements"]
    assert judgement["limit"] == "max_drop"
    accuracy = next(file for file in report["check"]["artifacts"] if file["accuracy"])["accuracy"]
    assert accuracy["metric"] == f"{task}:score"
    assert accuracy["samples"] == len(images)


@pytest.mark.parametrize(
    ("code", "said"),
    [("return float('nan')", "gives nan"), ("raise RuntimeError('no')", "raised RuntimeError"), ("", "importing")],
)
def test_a_metric_that_fails_is_one_error_and_leaves_nothing(
    code: str, said: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = model.with_name("task.py")
    task.write_text(f"def score(outputs, label):\n    {code}\n")
    np.savez(model.with_name("l.npz"), image=np.zeros((4, 3, 16, 16), np.float32), labels=np.arange(4))
    metric = ["--eval", str(model.with_name("l.npz")), "--metric", f"{task}:score"]
    assert run(words(model, *metric, "--effort", "fast")) == 2
    assert said in capsys.readouterr().err
    assert not (model.parent / "o").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--max-drop", "0.5"], "no labelled data"),
        (["--min-agreement", "1.2"], "from 0.0 to 1.0"),
        (["--max-size", "five"], "is not a size"),
        (["--max-latency-ratio", "0.5", "--set", "quantize.weight_only=true"], "contradicts"),
        (["--effort", "heroic"], "heroic"),
    ],
)
def test_budgets_that_make_no_sense_are_refused_at_once(
    given: list[str], said: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words(model, *given)) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (model.parent / "o").exists()
