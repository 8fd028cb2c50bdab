"""Inference on the installed model: what goes in, what comes out, and what is refused before a process starts."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.emit.exporter import emit
from edgekit.errors import InputError, NodeError, StorageError
from edgekit.node.infer import infer, read_inputs, write_outputs
from edgekit.runtime.array_archive import read_arrays
from edgekit.types.manifest import Variant
from edgekit.types.spec import TensorSpec
from tests.agent.profiled import net
from tests.node.stand_ins import write_stand_in
from tests.node.variants import INPUTS, OUTPUTS, litert_variant, onnx_variant

MIB = 2**20


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> dict[str, tuple[Path, Variant]]:
    """Runtime -> folder and variant of one net."""
    quantized = net(side=16, channels=8)
    onnx, litert = tmp_path_factory.mktemp("onnx"), tmp_path_factory.mktemp("litert")
    emit(quantized, onnx / "net.onnx", format="onnx-int8", metadata={})
    emit(quantized, litert / "net.tflite", format="tflite-int8", metadata={})
    return {
        "onnxruntime": (onnx, onnx_variant(onnx, "net.onnx")),
        "litert": (litert, litert_variant(litert, "net.tflite")),
    }


@pytest.fixture
def golden(packed):
    """(folder, variant, inputs, answers without the batch axis) of the ONNX variant."""
    folder, variant = packed["onnxruntime"]
    inputs = read_arrays(folder / INPUTS, limit_bytes=MIB)
    answers = {name: array[:, 0] for name, array in read_arrays(folder / OUTPUTS, limit_bytes=MIB).items()}
    return folder, variant, inputs, answers


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_it_answers_as_the_runtime_does(packed, runtime):
    folder, variant = packed[runtime]
    inputs = read_arrays(folder / INPUTS, limit_bytes=MIB)
    found = infer(folder, variant, inputs)
    answers = read_arrays(folder / OUTPUTS, limit_bytes=MIB)
    assert list(found) == [spec.name for spec in variant.outputs]
    for name, array in found.items():
        assert array.tobytes() == answers[name].tobytes()
        assert array.shape == (4, *answers[name].shape[2:])


def test_samples_with_and_without_the_batch_axis_and_one_alone(golden):
    folder, variant, inputs, answers = golden
    (name,) = inputs
    (output,) = answers
    assert inputs[name].shape == (4, 1, 3, 16, 16)
    for array, expected in (
        (inputs[name][:2, 0], answers[output][:2]),
        (inputs[name][2], answers[output][2:3]),
        (inputs[name][3:, 0].astype(np.float64), answers[output][3:]),
    ):
        found = infer(folder, variant, {name: array})[output]
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "given is nothing"),
        ({"other": np.zeros((1, 3, 16, 16), np.float32)}, "given is other"),
        ({"x0": np.zeros((3, 16, 16), np.float32)}, r"has shape \(3, 16, 16\); a sample has \(1, 3, 16, 16\)"),
        ({"x0": np.zeros((1, 3, 16, 17), np.float32)}, "has shape"),
        ({"x0": np.zeros((0, 1, 3, 16, 16), np.float32)}, "different numbers of samples, or none: x0 0"),
        ({"x0": np.zeros((1, 3, 16, 16), np.complex64)}, "holds complex64, which are no numbers"),
        ({"x0": np.zeros((1, 3, 16, 16), "U1")}, "which are no numbers"),
    ],
)
def test_inputs_that_the_model_does_not_take(golden, inputs, message):
    folder, variant, _, _ = golden
    with pytest.raises(InputError, match=message):
        infer(folder, variant, inputs)


def stored(golden, array: np.ndarray, *, scale: float | None) -> np.ndarray:
    """What the model's process is fed for an int8 input."""
    from edgekit.node import infer as module

    _, variant, _, _ = golden
    spec = TensorSpec("x0", (1, 4), "int8", scale=scale, zero_point=3)
    return module._as_samples(replace(variant, inputs=(spec,)), {"x0": array})["x0"]


def test_reals_become_the_integers_of_an_integer_input(golden):
    found = stored(golden, np.array([[0.0, 1.0, -100.0, 0.26]]), scale=0.5)
    assert (found.dtype, found.tolist()) == (np.int8, [[[3, 5, -128, 4]]])


def test_integers_are_taken_as_they_are_where_they_fit(golden):
    assert stored(golden, np.array([[-128, 127, 0, 1]]), scale=None).tolist() == [[[-128, 127, 0, 1]]]
    with pytest.raises(InputError, match="has values 0 to 128; int8 holds -128 to 127"):
        stored(golden, np.array([[0, 128, 0, 1]]), scale=None)


@pytest.mark.parametrize(("scale", "value"), [(None, 0.5), (0.5, np.nan), (0.5, np.inf)])
def test_reals_without_a_meaning_for_an_integer_input(golden, scale, value):
    with pytest.raises(InputError, match="is float64; the model takes int8"):
        stored(golden, np.full((1, 4), value), scale=scale)


def test_a_model_that_crashes_is_an_error_of_the_node(golden, monkeypatch, tmp_path):
    folder, variant, inputs, _ = golden
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path, "def run(): os.abort()")))
    with pytest.raises(NodeError, match="signal 6"):
        infer(folder, variant, inputs)


def test_a_model_that_is_too_slow(golden, monkeypatch, tmp_path):
    folder, variant, inputs, _ = golden
    monkeypatch.setenv("PYTHONPATH", str(write_stand_in(tmp_path, "def run(): time.sleep(60)")))
    with pytest.raises(NodeError, match="no end within 1 s"):
        infer(folder, variant, inputs, timeout_s=1)


def test_without_room_for_temporary_files_it_says_so(golden, monkeypatch, tmp_path):
    folder, variant, inputs, _ = golden
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(StorageError, match="temporary files cannot be written"):
        infer(folder, variant, inputs)


def test_inputs_from_files(golden, tmp_path):
    folder, variant, inputs, _ = golden
    (name,) = inputs
    assert read_inputs(folder / INPUTS, variant)[name].tobytes() == inputs[name].tobytes()
    np.save(tmp_path / "photo.npy", inputs[name])
    np.savez_compressed(tmp_path / "any.npz", whatever=inputs[name])
    for file in ("photo.npy", "any.npz"):
        found = read_inputs(tmp_path / file, variant)
        assert (list(found), found[name].tobytes()) == ([name], inputs[name].tobytes())


@pytest.mark.parametrize(
    ("file", "contents", "message"),
    [
        ("x.npz", None, "No such file"),
        ("x.npz", b"nothing", "no readable .npz"),
        ("x.npy", b"nothing", "no array as numpy writes it"),
        ("x.npz", "objects", "which are no numbers"),
    ],
)
def test_files_that_hold_no_inputs(golden, tmp_path, file, contents, message):
    _, variant, _, _ = golden
    path = tmp_path / file
    if contents == "objects":
        np.savez(path, x0=np.array([{"a": 1}]))
    elif contents is not None:
        path.write_bytes(contents)
    with pytest.raises(InputError, match=message):
        read_inputs(path, variant)


def test_outputs_are_written_whole_or_not_at_all(tmp_path):
    arrays = {"output": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_outputs(tmp_path / "out.npz", arrays)
    with np.load(tmp_path / "out.npz") as found:
        assert found["output"].tolist() == arrays["output"].tolist()
    assert os.listdir(tmp_path) == ["out.npz"]
    with pytest.raises(StorageError, match="cannot be written"):
        write_outputs(tmp_path / "no" / "out.npz", arrays)
    shutil.rmtree(tmp_path)
