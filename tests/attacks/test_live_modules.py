"""Odd live modules and odd borders through `edgekit.compress`: an answer or one deliberate error, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

import edgekit
from edgekit.cli.app import run
from edgekit.errors import InputError
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.recipe import CheckSettings, EmitSettings, Recipe
from tests.attacks.command import MATMUL, QUICK, WEIGHT, Refuse, X, Y, save_onnx

RECIPE = Recipe(emit=EmitSettings(formats=("onnx-int8", "tflite-int8")), check=CheckSettings(seconds=0.2))


class Around(nn.Module):
    """A linear layer in whatever a test puts around it."""

    def __init__(self, call: Callable[[nn.Linear, Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.call = call

    def forward(self, x: Tensor) -> object:
        return self.call(self.linear, x)


def compress(module: nn.Module, folder: Path, *, dtype: str = "float32") -> edgekit.CompressResult:
    data = np.random.default_rng(0).normal(size=(24, 4)).astype(dtype)
    inputs = [edgekit.TensorSpec("x", (1, 4), dtype)]
    return edgekit.compress(module, calibration=data, inputs=inputs, out=folder / "out", recipe=RECIPE)


@pytest.mark.parametrize("kind", ["dict", "input beside", "number beside"])
def test_outputs_of_every_shape(kind: str, tmp_path: Path) -> None:
    calls: dict[str, Callable[[nn.Linear, Tensor], object]] = {
        "dict": lambda linear, x: {"a": linear(x), "b": x + 1},
        "input beside": lambda linear, x: (linear(x), x),
        "number beside": lambda linear, x: (linear(x), 3),
    }
    result = compress(Around(calls[kind]), tmp_path)
    assert all(not entry.error for entry in result.report.check.artifacts)


def test_one_output_given_twice(tmp_path: Path) -> None:
    module = Around(lambda linear, x: (linear(x),) * 2)
    result = compress(module, tmp_path)
    x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")[:1]
    wanted = module.linear(torch.from_numpy(x)).detach().numpy()
    for name in ("onnx-int8", "tflite-int8"):
        path = result.files[name]
        found = (open_tflite(path) if name == "tflite-int8" else open_onnx(path)).run({"x": x})
        assert list(found) == ["output", "output_1"]
        for values in found.values():
            np.testing.assert_allclose(values, wanted, atol=0.05)


@pytest.mark.parametrize("module", [nn.Linear(4, 4, device="meta"), nn.LazyLinear(4)], ids=["meta", "lazy"])
def test_modules_without_values(module: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        compress(module, tmp_path)


def test_a_half_precision_module_with_its_own_input_type(tmp_path: Path) -> None:
    assert compress(nn.Linear(4, 4).half(), tmp_path, dtype="float16").files


class Counting(nn.Module):
    """Changes a buffer whenever it is called, as key-value caches do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.linear(x)
        return result


def test_buffers_that_a_call_changes_are_as_before(tmp_path: Path) -> None:
    module = Counting().eval()
    compress(module, tmp_path)
    assert module.calls == 0


def test_a_module_that_draws_random_numbers_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(edgekit.EdgekitError, match=r"random|differs between two calls|not deterministic"):
        compress(Around(lambda linear, x: linear(x) + torch.rand_like(x)), tmp_path)


def test_an_input_larger_than_the_memory(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        edgekit.compress(nn.ReLU(), inputs=[edgekit.TensorSpec("x", (1, 2**45))], out=tmp_path / "out")


def test_a_scalar_input(place: Path) -> None:
    nodes = [*MATMUL, helper.make_node("Mul", ["y", "s"], ["z"])]
    save_onnx(place / "net.onnx", nodes, inputs=(X, ("s", 1, [])), outputs=[("z", 1, ["N", 6])])
    random = np.random.default_rng(0)
    np.savez(place / "xs.npz", x=random.normal(size=(16, 4)), s=random.normal(size=16))
    assert run(["compress", "net.onnx", "--calibration", "xs.npz", "--out", "out", "--quiet", *QUICK]) == 0


def test_labels_of_another_count(place: Path, refuse: Refuse) -> None:
    np.savez(place / "labelled.npz", x=np.load("x.npz")["x"], label=np.arange(15))
    assert "15" in refuse("net.onnx", "--calibration", "x.npz", "--eval", "labelled.npz")


def test_labels_beyond_the_classes_are_noticed(place: Path) -> None:
    np.savez(place / "labelled.npz", x=np.load("x.npz")["x"], label=np.full(16, 77))
    words = ["--calibration", "x.npz", "--eval", "labelled.npz", "--out", "out", "--quiet", *QUICK]
    if run(["compress", "net.onnx", *words]) == 0:
        report = json.loads((place / "out" / "report.json").read_text())
        assert any("label" in finding["message"] for finding in report["check"]["findings"])


def test_missing_evaluation_data_is_noticed_before_the_work(
    place: Path, refuse: Refuse, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["compress", "net.onnx", "--calibration", "x.npz", "--eval", "gone.npz", "--out", "out", *QUICK]) == 2
    printed = capfd.readouterr().err
    assert "gone.npz" in printed
    assert "✓ calibrate" not in printed
    assert "calibration data 'gone.npz'" not in printed
    assert "evaluation data 'gone.npz': there is no gone.npz" in printed


@pytest.mark.parametrize("only", [False, True], ids=["beside another", "the only one"])
def test_an_output_that_depends_on_no_input(only: bool, place: Path) -> None:
    constant = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    made, shape = helper.make_node("Identity", ["c"], ["z"]), ("z", 1, [2, 5])
    if only:
        save_onnx(place / "net.onnx", [made], {"c": constant}, outputs=[shape])
    else:
        save_onnx(place / "net.onnx", [*MATMUL, made], {"w": WEIGHT, "c": constant}, outputs=[Y, shape])
    words = ["--calibration", "x.npz", "--out", "out", "--quiet", *QUICK]
    code = run(["compress", "net.onnx", *words])
    if code == 0:
        found = open_tflite(place / "out" / "model.int8.tflite").run({"x": np.load("x.npz")["x"][:1]})
        np.testing.assert_allclose(found["z"], constant, atol=0.05)
    else:
        assert code in (2, 3)
