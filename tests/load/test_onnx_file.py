"""The user's own ONNX files: frozen, converted, linked, or refused with every reason listed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgekit.errors import ModelLoadError, ParityError, UnsupportedOpError
from edgekit.load import onnx_file
from edgekit.load.checkpoint import open_model
from edgekit.load.external_data import external_tensors
from edgekit.runtime.ort import open_onnx
from edgekit.types.model import Model
from edgekit.types.spec import TensorSpec

Size = int | str | None


def network(
    shape: list[Size], *, opset: int = 20, nodes: list[NodeProto] | None = None, elem: int = TensorProto.FLOAT
) -> ModelProto:
    """Conv and global pooling on one NCHW input `x`."""
    weight = numpy_helper.from_array(np.linspace(-1, 1, 4 * 3 * 9, dtype=np.float32).reshape(4, 3, 3, 3), "w")
    body = nodes or [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    x = helper.make_tensor_value_info("x", elem, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0] if shape else None, 4, 1, 1])
    graph = helper.make_graph(body, "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def opened(model: ModelProto, tmp_path: Path, *inputs: TensorSpec) -> Model:
    onnx.save(model, tmp_path / "net.onnx")
    return open_model(tmp_path / "net.onnx", workdir=tmp_path / "work", inputs=inputs)


def border(path: Path) -> list[tuple[int | str, ...]]:
    graph = onnx.load(path, load_external_data=False).graph
    return [
        tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.output)
    ]


def test_a_static_model_is_taken_as_it_is(tmp_path: Path) -> None:
    model = opened(network([1, 3, 8, 8]), tmp_path)
    assert (model.name, model.origin, model.findings) == ("net", "ONNX", ())
    assert model.inputs == (TensorSpec("x", (1, 3, 8, 8)),)
    assert model.outputs == (TensorSpec("y", (1, 4, 1, 1)),)
    assert len(model.digest) == 64


@pytest.mark.parametrize("batch", ["N", None, 0])
def test_an_open_batch_becomes_one_and_is_remembered(batch: Size, tmp_path: Path) -> None:
    model = opened(network([batch, 3, 8, 8]), tmp_path)
    assert model.inputs == (TensorSpec("x", (1, 3, 8, 8), batch_axis=0),)
    assert model.findings == ()
    inside, outside = border(model.path)
    assert inside == (1, 3, 8, 8)
    assert outside == ((1, 4, 1, 1) if batch == "N" else (0, 4, 1, 1)), "the same name means the same size"
    assert open_onnx(model.path).inputs[0].shape == (1, 3, 8, 8)


def test_other_open_dimensions_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError) as caught:
        opened(network(["N", 3, "height", None]), tmp_path)
    assert str(caught.value) == ("net.onnx has 2 open dimension(s): axis 2 of 'x' ('height'), axis 3 of 'x' ('?')")
    assert "--input x:Nx3xheightxN" in caught.value.hint


def test_open_dimensions_are_frozen_as_told_and_noted(tmp_path: Path) -> None:
    model = opened(network(["N", 3, "height", "height"]), tmp_path, TensorSpec("x", (1, 3, 6, 6)))
    assert model.inputs == (TensorSpec("x", (1, 3, 6, 6), batch_axis=0),)
    assert [(note.code, note.severity) for note in model.findings] == [("dimension-frozen", "note")] * 2
    assert "axis 2 of 'x' ('height') is open in the file; every written file has 6" in model.findings[0].message
    assert border(model.path) == [(1, 3, 6, 6), (1, 4, 1, 1)]


def test_a_shape_that_is_wholly_absent(tmp_path: Path) -> None:
    model = network([1, 3, 8, 8])
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelLoadError, match=r"input 'x' of net\.onnx has no shape"):
        opened(model, tmp_path)
    assert opened(model, tmp_path, TensorSpec("x", (1, 3, 5, 5))).inputs[0].shape == (1, 3, 5, 5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TensorSpec("z", (1, 3, 8, 8)), "has no input z; it takes x"),
        (TensorSpec("x", (1, 4, 8, 8)), "--input x:1x4x8x8:float32 does not fit net.onnx, which takes x:Nx3xhxw"),
        (TensorSpec("x", (1, 3, 8)), "does not fit net.onnx"),
        (TensorSpec("x", (1, 3, 8, 8), "int64"), "is int64; net.onnx takes float32"),
    ],
)
def test_inputs_that_contradict_the_file(spec: TensorSpec, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=message):
        opened(network(["N", 3, "h", "w"]), tmp_path, spec)


def test_one_dimension_with_two_sizes(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"dimension 's' of net\.onnx is 6 in one --input and 8 in another"):
        opened(network(["N", 3, "s", "s"]), tmp_path, TensorSpec("x", (1, 3, 6, 8)))


def test_a_size_that_the_graph_cannot_take(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    with pytest.raises(ModelLoadError, match=r"net.onnx does not run in ONNX Runtime on x:Nx3x2x2:float32"):
        opened(network(["N", 3, "h", "w"], nodes=nodes), tmp_path, TensorSpec("x", (1, 3, 2, 2)))
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_old_opsets_are_converted_and_compared(opset: int, tmp_path: Path) -> None:
    model = opened(network(["N", 3, 8, 8], opset=opset), tmp_path)
    assert [note.code for note in model.findings] == ["opset-converted"]
    assert onnx.load(model.path).opset_import[0].version == 18
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)}
    wanted = open_onnx(tmp_path / "net.onnx").run(feeds)["y"]
    np.testing.assert_allclose(open_onnx(model.path).run(feeds)["y"], wanted, rtol=1e-6, atol=1e-7)
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["model.onnx"]


def test_a_wrong_conversion_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = onnx.version_converter.convert_version

    def wrong(model: ModelProto, version: int) -> ModelProto:
        result = convert(model, version)
        result.graph.node[0].op_type, result.graph.node[1].op_type = "Conv", "GlobalMaxPool"
        return result

    monkeypatch.setattr(onnx_file.onnx.version_converter, "convert_version", wrong)
    with pytest.raises(ParityError, match=r"output 'y' of opset 18 of net\.onnx differs"):
        opened(network(["N", 3, 8, 8], opset=13), tmp_path)


def test_weights_that_old_files_list_as_inputs(tmp_path: Path) -> None:
    model = network([1, 3, 8, 8])
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    assert [spec.name for spec in opened(model, tmp_path).inputs] == ["x"]


def test_external_data_is_linked_not_copied(tmp_path: Path) -> None:
    onnx.save(
        network(["N", 3, 8, 8]), tmp_path / "net.onnx", save_as_external_data=True, location="big.bin", size_threshold=0
    )
    model = open_model(tmp_path / "net.onnx", workdir=tmp_path / "work")
    linked = tmp_path / "work" / "model.onnx.data"
    assert os.path.samefile(linked, tmp_path / "big.bin")
    tensors = external_tensors(onnx.load(model.path, load_external_data=False))
    assert [entry.value for entry in tensors[0].external_data if entry.key == "location"] == ["model.onnx.data"]
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32)}
    wanted = open_onnx(tmp_path / "net.onnx").run(feeds)["y"]
    np.testing.assert_array_equal(open_onnx(model.path).run(feeds)["y"], wanted)


def test_external_data_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    onnx.save(network([1, 3, 8, 8]), tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0)
    monkeypatch.setattr(os, "link", refuse)
    model = open_model(tmp_path / "net.onnx", workdir=tmp_path / "work")
    assert open_onnx(model.path).run({"x": np.ones((1, 3, 8, 8), np.float32)})["y"].shape == (1, 4, 1, 1)


def test_old_opsets_with_external_data(tmp_path: Path) -> None:
    model = network([1, 3, 8, 8], opset=13)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    found = open_model(tmp_path / "net.onnx", workdir=tmp_path / "work")
    assert [note.code for note in found.findings] == ["opset-converted"]
    assert not external_tensors(onnx.load(found.path, load_external_data=False))


def test_all_custom_operators_are_listed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gelu", ["x"], ["a"], name="first", domain="com.microsoft"),
        helper.make_node("Conv", ["a", "w"], ["b"], name="conv"),
        helper.make_node("MyOp", ["b"], ["y"], name="last", domain="my.company"),
    ]
    model = network([1, 3, 8, 8], nodes=nodes)
    model.opset_import.extend([helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("my.company", 1)])
    with pytest.raises(UnsupportedOpError) as caught:
        opened(model, tmp_path)
    assert [(op, where) for op, where, _ in caught.value.operators] == [
        ("com.microsoft.Gelu", "first"),
        ("my.company.MyOp", "last"),
    ]


@pytest.mark.parametrize(
    ("name", "opset", "why"),
    [
        ("Blorp", 20, "ONNX has no operator of this name"),
        ("Blorp", 13, "ONNX has no operator of this name"),
        ("Gelu", 19, "opset 19, which the file uses, does not have it"),
    ],
)
def test_operators_that_onnx_does_not_have_are_named(name: str, opset: int, why: str, tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node(name, ["a"], ["y"], name="here")]
    with pytest.raises(UnsupportedOpError) as caught:
        opened(network([1, 3, 8, 8], nodes=nodes, opset=opset), tmp_path)
    assert caught.value.operators == ((name, "here", why),)


def test_what_onnx_runtime_says_is_told_without_the_work_folder(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], nonsense=3)]
    with pytest.raises(ModelLoadError, match="does not run in ONNX Runtime") as caught:
        opened(network([1, 3, 8, 8], nodes=nodes), tmp_path)
    assert "nonsense" in str(caught.value)
    assert "cannot load net.onnx" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "ModelLoadError" not in str(caught.value)


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    double = helper.make_function(
        "local", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 20)]
    )
    nodes = [
        helper.make_node("Double", ["x"], ["d"], domain="local"),
        helper.make_node("Conv", ["d", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"]),
    ]
    model = network([1, 3, 8, 8], nodes=nodes)
    model.functions.append(double)
    model.opset_import.append(helper.make_opsetid("local", 1))
    found = onnx.load(opened(model, tmp_path).path)
    assert [node.op_type for node in found.graph.node] == ["Add", "Conv", "GlobalAveragePool"]


def test_a_model_of_integer_operators_is_sent_back(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"]),
    ]
    with pytest.raises(ModelLoadError, match=r"computes on integers \(1 DynamicQuantizeLinear\)") as caught:
        opened(network([1, 3, 8, 8], nodes=nodes), tmp_path)
    assert "float model" in caught.value.hint


@pytest.mark.parametrize(("elem", "name"), [(TensorProto.FLOAT16, "FLOAT16"), (TensorProto.STRING, "STRING")])
def test_input_types_out_of_reach(elem: int, name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=f"input 'x' of net.onnx is of type {name}"):
        opened(network([1, 3, 8, 8], elem=elem), tmp_path)


def test_graphs_without_anything_to_do(tmp_path: Path) -> None:
    empty = network([1, 3, 8, 8])
    del empty.graph.node[:]
    with pytest.raises(ModelLoadError, match="without operators"):
        opened(empty, tmp_path)
    no_opset = network([1, 3, 8, 8])
    del no_opset.opset_import[:]
    with pytest.raises(ModelLoadError, match="does not say which ONNX opset"):
        opened(no_opset, tmp_path)
    constant = network([1, 3, 8, 8])
    constant.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "x"))
    with pytest.raises(ModelLoadError, match="takes no input"):
        opened(constant, tmp_path)


def test_more_than_two_gigabytes_of_weights(tmp_path: Path) -> None:
    """The weights are a sparse file: nothing of it is copied, and only what ONNX Runtime maps is read."""
    rows = 600_000_000
    weight = TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[rows], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "big.bin"), ("offset", "0"), ("length", str(4 * rows))):
        weight.external_data.add(key=key, value=value)
    index = numpy_helper.from_array(np.arange(4), "index")
    nodes = [helper.make_node("Gather", ["big", "index"], ["g"]), helper.make_node("Mul", ["x", "g"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [weight, index])
    (tmp_path / "net.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8).SerializeToString()
    )
    with (tmp_path / "big.bin").open("wb") as stream:
        stream.truncate(4 * rows)
    model = open_model(tmp_path / "net.onnx", workdir=tmp_path / "work")
    assert model.inputs == (TensorSpec("x", (1, 4), batch_axis=0),)
    assert (tmp_path / "work" / "model.onnx.data").stat().st_ino == (tmp_path / "big.bin").stat().st_ino
