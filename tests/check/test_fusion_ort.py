import pytest
from onnx import TensorProto, helper

from edgekit.check.fusion_ort import list_executed, read_onnx
from edgekit.errors import ModelLoadError


def test_a_clean_qdq_file_runs_on_integers(small_net):
    fusion = read_onnx(small_net.files["onnx-x86"].path, small_net.quantized)
    assert (fusion.planned_int8, fusion.planned_float) == (6, 0)
    assert fusion.left_float == ()
    assert fusion.float == 0
    assert fusion.operators["QLinearConv"] == 2
    assert fusion.operators["QLinearAdd"] == 1
    assert fusion.conversions == 2  # the input and the output of the file
    assert fusion.delegated is None


def test_int8_values_with_two_readers_stay_float_on_x86(small_net):
    """qdq_s8_to_u8 turns int8 into uint8 only where a value has one reader: h1 has two."""
    fusion = read_onnx(small_net.files["onnx-int8"].path, small_net.quantized)
    if fusion.float:
        assert any("stem.conv" in label or "block" in label for label in fusion.left_float)
    else:
        assert fusion.left_float == ()


def test_an_island_is_planned_and_not_held_against_the_runtime(island_net):
    fusion = read_onnx(island_net.files["onnx-x86"].path, island_net.quantized)
    assert fusion.planned_float == 1
    assert fusion.operators["Exp"] == 1
    assert not any("gate" in label for label in fusion.left_float)


def test_the_float_file_is_all_float(small_net):
    fusion = read_onnx(small_net.files["onnx-fp32"].path, small_net.quantized)
    assert fusion.int8 == 0
    assert fusion.conversions == 0
    assert {"stem.conv (Conv)", "head (Gemm)"} <= set(fusion.left_float)


def test_element_types_are_followed_through_moves():
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x.q"]),
        helper.make_node("Reshape", ["x.q", "shape"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["m"]),
        helper.make_node("DequantizeLinear", ["m", "scale", "zero"], ["d"]),
        helper.make_node("Reshape", ["d", "shape"], ["f"]),
        helper.make_node("Gather", ["indices", "shape"], ["g"]),
        helper.make_node("Exp", ["f"], ["y"]),
    ]
    scalars = [helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0]), helper.make_tensor("zero", 3, [], [0])]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [4]), value("indices", TensorProto.INT64, [4])],
        [value("y", TensorProto.FLOAT, [4])],
        [*scalars, helper.make_tensor("shape", TensorProto.INT64, [1], [4])],
    )
    kinds = [step.kind for step in list_executed(graph)]
    assert kinds == ["conversion", "int8", "int8", "conversion", "float", "index", "float"]


def test_a_corrupt_file_is_a_load_error(tmp_path, small_net):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match=r"broken\.onnx"):
        read_onnx(path, small_net.quantized)
