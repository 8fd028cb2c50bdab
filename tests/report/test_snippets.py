"""The code that reports print is run as it stands."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.check.subject import as_loaded, open_subject
from edgekit.emit.exporter import emit
from edgekit.load.images import read_image
from edgekit.report.snippets import identifier, onnx_code, preprocessing_code, tflite_code
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import choose_activation

NAMES = {"onnx-fp32": "a.onnx", "onnx-int8": "b.onnx", "onnx-x86": "c.onnx", "tflite-int8": "d.tflite"}


def run(code, folder, variables):
    before = os.getcwd()
    os.chdir(folder)
    try:
        exec(compile(code, "snippet", "exec"), variables)
    finally:
        os.chdir(before)
    return variables


def make_graph():
    """photo.1 -> LeakyRelu -> map, and its mean over space."""
    nodes = (
        Node("leaky", "LeakyRelu", ("photo.1",), ("map",), {"alpha": 0.1}),
        Node("pool", "GlobalAveragePool", ("map",), ("mean",), {}),
    )
    shapes = {"photo.1": (1, 3, 4, 6), "map": (1, 3, 4, 6), "mean": (1, 3, 1, 1)}
    graph = Graph("tiny", ("photo.1",), ("map", "mean"), nodes, {n: Value(n, s) for n, s in shapes.items()}, {})
    ranges = {"photo.1": (-2, 2), "map": (-0.2, 2), "mean": (-0.2, 2)}
    return QuantizedGraph(graph, {name: choose_activation(*ends) for name, ends in ranges.items()}, {})


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("format", list(NAMES))
def test_loading_code_gives_what_the_file_gives(tmp_path, format, io):
    quantized = make_graph()
    written = emit(quantized, tmp_path / NAMES[format], format=format, io=io, metadata={})
    subject = open_subject(written, quantized)
    artifact = as_loaded(subject)
    photo = np.random.default_rng(0).uniform(-1.9, 1.9, (1, 3, 4, 6)).astype(np.float32)
    code = tflite_code(artifact) if artifact.is_tflite else onnx_code(artifact)
    found = run(code, tmp_path, {"photo_1": photo})
    expected = subject.run({"photo.1": photo})
    for name in ("map", "mean"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


@pytest.mark.parametrize(
    "spec",
    [
        Preprocessing((21, 23), 30, (10.0, 20.0, 30.0), (50.0, 60.0, 70.0)),
        Preprocessing((16, 16), None, interpolation="bicubic", layout="NHWC"),
        Preprocessing((15, 15), 15, color="BGR", mean=(1.0, 2.0, 3.0)),
        Preprocessing((12, 14), 17, color="L"),
    ],
)
def test_preprocessing_code_does_what_calibration_did(tmp_path, spec):
    pixels = np.random.default_rng(1).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95)
    found = run(preprocessing_code(spec, "x"), tmp_path, {})["x"]
    assert found.shape == spec.shape
    np.testing.assert_allclose(found, read_image(tmp_path / "photo.jpg", spec), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "variable"), [("image", "image"), ("input.1", "input_1"), ("0", "x_0"), ("a b", "a_b")]
)
def test_variables_are_identifiers(name, variable):
    assert identifier(name) == variable
    assert variable.isidentifier()


def test_permutation_is_written_out(tmp_path):
    written = emit(make_graph(), tmp_path / "d.tflite", format="tflite-int8", metadata={})
    artifact = as_loaded(open_subject(written, make_graph()))
    assert ".transpose(0, 2, 3, 1)" in tflite_code(artifact)
    flat = replace(artifact, inputs=tuple(replace(spec, permutation=None) for spec in artifact.inputs))
    assert "photo_1)" in tflite_code(flat)
