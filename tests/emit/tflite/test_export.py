"""The file as a whole: its border, metadata, bytes, versions, and what happens when it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.emit.tflite import export
from edgekit.emit.tflite.program import Program
from edgekit.emit.tflite.support import expressions, unsupported
from edgekit.errors import EmitError, StorageError, UnsupportedOpError
from edgekit.runtime.flatbuffer import metadata_entry
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.operators import OPERATORS
from tests.emit.tflite.sketch import CODES, Sketch, read


@pytest.fixture(scope="module")
def sketch() -> Sketch:
    drawn = Sketch()
    stem = drawn.conv(drawn.input(1, 3, 8, 9), 6, kernel=(3, 3), pads=(1, 1, 1, 1), clamp=(0.0, float("inf")))
    mean = drawn.node("Reshape", drawn.node("GlobalAveragePool", stem), shape=(1, 6))
    drawn.gemm(mean, 4)
    drawn.node("Sigmoid", stem)
    return drawn


@pytest.fixture(scope="module")
def quantized(sketch: Sketch) -> QuantizedGraph:
    return sketch.int8("v3", "v4")


@pytest.mark.parametrize("io", ["float", "int8"])
def test_the_border_is_what_the_session_shows(tmp_path, sketch, quantized, io) -> None:
    path = tmp_path / "model.tflite"
    border = export.write(quantized, path, io=io, metadata={"edgekit.model": "sketch"})
    session = open_tflite(path)
    assert (session.inputs, session.outputs) == (border.inputs, border.outputs)
    assert session.metadata == {"edgekit.model": "sketch"}
    assert [spec.shape for spec in border.outputs] == [(1, 4), (1, 6, 8, 9)]
    assert [spec.permutation for spec in (*border.inputs, *border.outputs)] == [(0, 2, 3, 1), None, (0, 2, 3, 1)]
    for spec in (*border.inputs, *border.outputs):
        assert spec.dtype == ("float32" if io == "float" else "int8")
        assert (spec.scale is None) is (io == "float")
    scale = quantized.qparams["v3"].scale
    assert border.outputs[0].scale == (None if io == "float" else float(scale))


def test_both_borders_say_the_same(tmp_path, sketch, quantized) -> None:
    results = {}
    for io in ("float", "int8"):
        export.write(quantized, tmp_path / "model.tflite", io=io)
        feeds = sketch.feeds()
        if io == "int8":
            feeds = {name: quantized.qparams[name].quantize(array) for name, array in feeds.items()}
        results[io] = open_tflite(tmp_path / "model.tflite").run(feeds)
    for name, integers in results["int8"].items():
        np.testing.assert_allclose(results["float"][name], quantized.qparams[name].dequantize(integers), rtol=1e-6)


def test_metadata_describes_the_stored_tensors(tmp_path, quantized) -> None:
    path = tmp_path / "model.tflite"
    export.write(quantized, path, metadata={"key": "a text with ünicode"})
    described = json.loads(metadata_entry(path.read_bytes(), "edgekit"))
    assert described["metadata"] == {"key": "a text with ünicode"}
    assert described["inputs"] == [
        {"name": "x0", "shape": [1, 3, 8, 9], "dtype": "float32", "permutation": [0, 2, 3, 1]}
    ]
    assert [entry["name"] for entry in described["outputs"]] == ["v3", "v4"]
    assert metadata_entry(path.read_bytes(), "another") == b""


def test_the_stored_integers_are_the_tables(tmp_path, quantized) -> None:
    path = tmp_path / "model.tflite"
    export.write(quantized, path)
    model = read(path)
    by_name = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    weight = by_name["c0"]
    np.testing.assert_array_equal(weight.quantization.scale, quantized.qparams["c0"].scale)
    stored = model.buffers[weight.buffer].data.view(np.int8).reshape(weight.shape)
    np.testing.assert_array_equal(stored, quantized.integers["c0"].transpose(0, 2, 3, 1))
    bias = by_name["c1"]
    np.testing.assert_array_equal(model.buffers[bias.buffer].data.view(np.int32), quantized.integers["c1"])
    for name, tensor in by_name.items():
        if name in quantized.qparams and tensor.type == 9 and name in quantized.graph.values:
            assert tensor.quantization.scale[0] == quantized.qparams[name].scale
            assert tensor.quantization.zeroPoint[0] == quantized.qparams[name].zero_point


def test_the_same_graph_gives_the_same_bytes(tmp_path, quantized) -> None:
    for name in ("a", "b"):
        export.write(quantized, tmp_path / name, metadata={"k": "v"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_constants_are_aligned_and_written_once(tmp_path: Path) -> None:
    sketch = Sketch()
    name, weight = sketch.input(1, 64, 5, 5), sketch.weight(64, 64, 1, 1)
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    for _ in range(3):
        name = sketch.node("Conv", name, weight, **attributes)
    path = tmp_path / "model.tflite"
    export.write(sketch.float(name), path)
    contents = path.read_bytes()
    stored = sketch.constants[weight].transpose(0, 2, 3, 1).tobytes()
    assert contents.count(stored) == 1
    assert contents.index(stored) % 16 == 0
    assert len(contents) < len(stored) + 4000


def test_versions_are_those_of_old_runtimes(tmp_path, quantized) -> None:
    export.write(quantized, tmp_path / "model.tflite")
    versions = {CODES[code.builtinCode]: code.version for code in read(tmp_path / "model.tflite").operatorCodes}
    assert versions == {"QUANTIZE": 1, "CONV_2D": 3, "MEAN": 2, "RESHAPE": 1, "LOGISTIC": 2, "DEQUANTIZE": 2}


def test_float_operators_have_the_versions_of_float(tmp_path, sketch) -> None:
    export.write(sketch.float("v3", "v4"), tmp_path / "model.tflite")
    assert {code.version for code in read(tmp_path / "model.tflite").operatorCodes} == {1}


def test_equal_integers_of_other_scales_share_their_bytes(tmp_path: Path) -> None:
    sketch = Sketch()
    name, weight = sketch.input(1, 64), sketch.weight(64, 64)
    for scaled in (weight, sketch.constant(2 * sketch.constants[weight])):
        name = sketch.node("Gemm", name, scaled)
    quantized = sketch.int8(name)
    export.write(quantized, tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").read_bytes().count(quantized.integers[weight].tobytes()) == 1


def test_what_no_output_needs_is_not_written() -> None:
    program = Program()
    source = program.tensor("source", (2,), dtype="float32")
    for code in ("EXP", "ABS"):
        program.operation(code, [source], outputs=[program.tensor(code, (2,), dtype="float32")])
    assert [operation.code for operation in program.live([2])] == ["ABS"]


def _graph(op: str, shape: tuple[int, ...], result: tuple[int, ...], dtype: str = "float32", **attributes) -> Graph:
    values = {"x": Value("x", shape, dtype), "y": Value("y", result, dtype)}
    return Graph("g", ("x",), ("y",), (Node("n", op, ("x",), ("y",), attributes, "head.layer"),), values, {})


BAD = {
    "kernels have 1 or 2": _graph(
        "MaxPool", (1, 2, 4, 4, 4), (1, 2, 2, 2, 2), kernel_shape=(2,) * 3, strides=(2,) * 3, pads=(0,) * 6
    ),
    "hold whole windows": _graph("MaxPool", (1, 2, 4), (1, 2, 6), kernel_shape=(2,), strides=(1,), pads=(2, 1)),
    "float64": _graph("Exp", (1, 2), (1, 2), "float64"),
    "at most 6": _graph("Exp", (1,) * 7, (1,) * 7),
    "empty": _graph("Exp", (1, 0), (1, 0)),
    "no such operator": _graph("Celu", (1, 2), (1, 2)),
    "mode 'cubic'": _graph(
        "Resize", (1, 2, 4, 4), (1, 2, 8, 8), sizes=(8, 8), mode="cubic", coordinates="half_pixel", nearest_mode="floor"
    ),
    "coordinates 'tf_crop": _graph(
        "Resize", (1, 2, 4, 4), (1, 2, 8, 8), sizes=(8, 8), mode="linear", coordinates="tf_crop_and_resize"
    ),
    "beyond shape": _graph("Pad", (1, 3), (1, 9), pads=(0, 3, 0, 3), mode="reflect", value=0.0),
    "crop": _graph("Pad", (1, 3), (1, 2), pads=(0, -1, 0, 0), mode="constant", value=0.0),
    "STRIDED_SLICE|takes 5": _graph("Slice", (1,) * 6, (1,) * 6, axes=(1,), starts=(0,), ends=(1,), steps=(1,)),
    "result is int8": _graph("ArgMax", (1, 3), (1,), "int8", axis=1, keepdims=0),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_cannot_be_said_is_refused_before_anything_is_written(tmp_path, reason) -> None:
    ((op, module, why),) = unsupported(BAD[reason])
    assert (op, module) == (BAD[reason].nodes[0].op, "head.layer")
    assert any(part in why for part in reason.split("|"))
    with pytest.raises(UnsupportedOpError, match=r"head\.layer"):
        export.write(as_float(BAD[reason]), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_broadcasts_over_more_axes_than_kernels_have_are_refused() -> None:
    shapes = ((2, 1, 2, 1, 2), (1, 2, 1, 2, 1), (2,) * 5)
    values = {name: Value(name, shape) for name, shape in zip("abc", shapes, strict=True)}
    graph = Graph("g", ("a", "b"), ("c",), (Node("n", "Add", ("a", "b"), ("c",)),), values, {})
    assert unsupported(graph) == (("Add", "n", "broadcasts over 5 separate axes; kernels take 4"),)


def test_five_axes_that_broadcast_alike_are_merged(tmp_path: Path) -> None:
    sketch = Sketch()
    first, second = sketch.input(1, 2, 3, 4, 5), sketch.input(1, 2, 3, 1, 1)
    result = sketch.node("Mul", first, second)
    quantized = sketch.int8(result)
    assert not unsupported(quantized.graph)
    export.write(quantized, tmp_path / "five.tflite")
    expected = ReferenceSession(quantized).run(sketch.feeds())[result]
    output = open_tflite(tmp_path / "five.tflite").run(sketch.feeds())[result]
    np.testing.assert_allclose(output, expected, atol=1.001 * float(quantized.qparams[result].scale))


@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("only", [False, True], ids=["beside another", "the only one"])
@pytest.mark.parametrize("shape", [(2, 5), (10,), ()])
def test_an_output_that_depends_on_no_input_is_computed(tmp_path: Path, shape, only: bool, io: str) -> None:
    sketch = Sketch()
    other = sketch.gemm(sketch.input(1, 4), 6)
    constant = sketch.constant(np.asarray(sketch.rng.normal(size=shape), np.float32))
    fixed = sketch.node("Reshape", constant, shape=shape)
    quantized = sketch.int8(*([] if only else [other]), fixed)
    export.write(quantized, tmp_path / "model.tflite", io=io)
    feeds, qparams = sketch.feeds(), quantized.qparams
    if io == "int8":
        feeds = {"x0": qparams["x0"].quantize(feeds["x0"])}
    expected = ReferenceSession(quantized).run(sketch.feeds())[fixed]
    for delegate in (True, False):
        session = open_tflite(tmp_path / "model.tflite", delegate=delegate)
        for _ in range(2):
            output = session.run(feeds)[fixed]
            reals = qparams[fixed].dequantize(output) if io == "int8" else output
            assert reals.shape == shape
            np.testing.assert_allclose(reals, expected, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_float_outputs_of_one_constant(tmp_path: Path, count: int) -> None:
    sketch = Sketch()
    sketch.input(1, 4)
    constant = sketch.weight(2, 3)
    names = [sketch.node("Reshape", constant, shape=(2, 3)) for _ in range(count)]
    export.write(sketch.float(*names), tmp_path / "model.tflite")
    outputs = open_tflite(tmp_path / "model.tflite").run(sketch.feeds())
    for name in names:
        np.testing.assert_array_equal(outputs[name], sketch.constants[constant])


def test_every_operator_has_a_text() -> None:
    assert set(expressions()) == set(OPERATORS)
    assert all(expressions().values())


def test_an_incomplete_table_is_an_error(tmp_path, quantized) -> None:
    missing = {name: qparams for name, qparams in quantized.qparams.items() if name != "v0"}
    with pytest.raises(EmitError, match="'v0'"):
        export.write(QuantizedGraph(quantized.graph, missing, quantized.integers), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_an_unknown_border_is_an_error(tmp_path, quantized) -> None:
    with pytest.raises(EmitError, match="uint4"):
        export.write(quantized, tmp_path / "model.tflite", io="uint4")


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path, quantized, monkeypatch) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        export.write(quantized, tmp_path / "absent" / "model.tflite")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "model.tflite").write_bytes(b"before")
    monkeypatch.setattr(export.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        export.write(quantized, tmp_path / "model.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    assert (tmp_path / "model.tflite").read_bytes() == b"before"
