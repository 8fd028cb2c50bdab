"""The chain from the command line's point of view: prune, distill, train for int8, files; killed runs go on."""

import contextlib
import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from edgekit.cli.app import run as command_line
from edgekit.errors import RecipeError
from edgekit.pipeline import compress
from edgekit.training.chain import refuse_without_data
from edgekit.types.recipe import Recipe

CODE = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4),
    )

def samples(count, seed):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=draw)
    images = 0.5 * torch.randn(count, 1, 12, 12, generator=draw)
    for image, label in zip(images, labels):
        row, column = divmod(int(label), 2)
        image[0, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] += 1
    return images, labels

def loader():
    return DataLoader(TensorDataset(*samples(192, 0)), batch_size=32, shuffle=True)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a trained state dict, its code, and labelled data."""
    (tmp_path / "net.py").write_text(CODE)
    space = {}
    exec(CODE, space)
    net = space["build"]()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(6):
        for images, labels in space["loader"]():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    images, labels = space["samples"](100, 1)
    np.savez(tmp_path / "test.npz", x=images.numpy(), labels=labels.numpy())
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGUMENTS = [
    *("compress", "weights.pt", "--model", "net.py:build", "--train", "net.py:loader", "--eval", "test.npz"),
    *("--prune", "1.5x", "--distill", "self", "--epochs", "2", "--qat", "1ep", "--effort", "fast", "--json"),
]


@dataclass
class Outcome:
    exit_code: int
    stdout: str
    output: str


def call(arguments):
    """The command line in this process, so that parts of it can be replaced."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line(arguments)
    return Outcome(code, out.getvalue(), out.getvalue() + err.getvalue())


def run(*arguments):
    return call([*ARGUMENTS, *arguments])


def test_prune_distill_and_train_for_int8_in_one_command(project):
    found = run()
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    steps = {step["name"]: step for step in report["training"]["steps"]}
    assert list(steps) == ["as given", "pruned", "distilled", "trained for int8"]
    assert steps["pruned"]["macs"] <= steps["as given"]["macs"] / 1.5
    assert steps["pruned"]["time_ratio"] > 0
    assert steps["distilled"]["accuracy"] > 0.9
    assert report["training"]["samples"] == 100
    assert report["model"]["name"] == "weights"
    files = {entry["artifact"]["format"]: entry for entry in report["check"]["artifacts"]}
    assert files["onnx-int8"]["accuracy"]["accuracy"] > 0.85
    assert files["tflite-int8"]["accuracy"]["accuracy"] > 0.85
    assert not (project / "edgekit-out.training").exists()
    recipe = Recipe.from_file(project / "edgekit-out" / "recipe.toml")
    assert recipe.prune.target == "1.5x"
    assert recipe.train.data.endswith("net.py:loader")


def test_a_killed_run_goes_on_where_it_was(project, monkeypatch):
    """Stopped while the files were to be written: neither pruning nor training is done again."""
    with monkeypatch.context() as patched:
        patched.setattr("edgekit.pipeline.open_simplified", interrupted)
        assert run().exit_code != 0
    kept = next((project / "edgekit-out.training").iterdir())
    before = (kept / "pruned.safetensors").read_bytes()
    written = (kept / "pruned.safetensors").stat().st_mtime_ns
    seen = []
    monkeypatch.setattr("edgekit.training.chain_steps.prune", lambda *_, **__: seen.append("pruned again"))
    found = run()
    assert found.exit_code == 0, found.output
    assert not seen
    report = json.loads(found.stdout)
    assert report["training"]["resumed"] == ["pruned", "distilled", "trained for int8"]
    assert before
    assert written
    assert not (project / "edgekit-out.training").exists()


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_other_settings_do_not_meet_old_weights(project, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("edgekit.pipeline.open_simplified", interrupted)
        run()
    found = run("--set", "train.seed=1")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["training"]["resumed"] == []
    assert len(list((project / "edgekit-out.training").iterdir())) == 1


def test_the_library_takes_the_same_recipe(project):
    recipe = Recipe().with_fields(
        {
            "model.factory": "net.py:build",
            "train.data": "net.py:loader",
            "qat.length": "3steps",
            "quantize.effort": "fast",
            "emit.formats": ["onnx-int8"],
        }
    )
    result = compress("weights.pt", recipe=recipe, out="small")
    assert [step.name for step in result.report.training.steps] == ["as given", "trained for int8"]
    assert result.report.training.steps[-1].accuracy is None
    assert "quantization-aware" in result.report.model.source


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"distill.teacher": "self"}, r"distill\.teacher needs training data"),
        ({"qat.length": "1ep"}, r"qat\.length needs training data"),
        ({"prune.target": "2x", "prune.schedule": "iterative"}, "iterative needs training data"),
        ({"qat.length": "1ep", "train.data": "a.py:b", "quantize.weight_only": True}, "asks for other files"),
    ],
)
def test_steps_without_data_stop_before_any_work(fields, said):
    with pytest.raises(RecipeError, match=said):
        refuse_without_data(Recipe().with_fields(fields))


def test_a_graph_cannot_be_pruned(project):
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), "net.pt2")
    found = call(["compress", "net.pt2", "--prune", "1.5x"])
    assert found.exit_code == 2
    assert "finished graph" in found.output


def test_pruning_without_training_is_said(project):
    arguments = ["compress", "weights.pt", "--model", "net.py:build", "--input", "input:1x1x12x12", "--prune", "1.3x"]
    found = call([*arguments, "--effort", "fast", "--json"])
    assert found.exit_code == 0, found.output
    assert "pruned-untrained" in {finding["code"] for finding in json.loads(found.stdout)["findings"]}
