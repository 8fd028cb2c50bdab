import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import ModelLoadError, UnsupportedOpError
from edgekit.simplify.simplification import simplify

SHAPE_NOISE = """
    s = Shape(x)
    n = Gather(s, zero)
    m = Mul(n, two)
    u = Unsqueeze(m, axis)
    shape = Concat <axis=0> (u, minus)
    y = Reshape(x, shape)
"""


def test_shape_arithmetic_is_gone(check):
    weights = {"zero": np.int64(0), "two": np.int64(2), "axis": np.int64([0]), "minus": np.int64([-1])}
    found = check(f"(float[1,4,6] x) => (float y) {{ {SHAPE_NOISE} }}", weights)
    assert found.ops == "Reshape"
    assert found.graph.shape("y") == (2, 12)
    assert not found.graph.constants


def test_weights_that_are_computed_are_constants(check):
    body = "q = Cast <to=1> (i) \n t = Transpose(q) \n d = Div(t, k) \n y = MatMul(x, d)"
    weights = {"i": np.arange(12, dtype=np.int8).reshape(3, 4), "k": np.float32(7)}
    found = check(f"(float[1,4] x) => (float y) {{ {body} }}", weights)
    assert found.ops == "Gemm"


def test_cast_like_needs_only_the_type_of_its_second_input(check):
    text = "(float[1,4] x) => (float y) { k = Constant <value_int=3> () \n c = CastLike(k, x) \n y = Pow(x, c) }"
    assert check(text).ops == "Mul Mul"


def test_sequences_of_constants(check):
    body = "q = SplitToSequence <axis=0> (w, n) \n v = SequenceAt(q, one) \n y = MatMul(x, v)"
    weights = {"w": np.ones((8, 3), np.float32), "n": np.int64(4), "one": np.int64(1)}
    assert check(f"(float[1,4] x) => (float y) {{ {body} }}", weights).ops == "Gemm"


def test_random_numbers_are_not_constants(check):
    text = "(float[1,4] x) => (float y) { r = RandomNormal <shape=[1,4]> () \n y = Add(x, r) }"
    with pytest.raises(UnsupportedOpError, match="random"):
        check(text)


def test_a_result_that_is_constant_is_returned(check):
    found = check("(float[1,4] x) => (float y, int64 s) { y = Exp(x) \n s = Shape(x) }")
    assert found.graph.outputs == ("y", "s")


def test_constants_of_four_bits_are_refused_by_name(tmp_path):
    packed = helper.make_tensor("w4", TensorProto.INT4, (2, 4), bytes([0x21, 0x43, 0x65, 0x07]), raw=True)
    nodes = [
        helper.make_node("Cast", ["w4"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "packed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [packed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "packed.onnx")
    with pytest.raises(ModelLoadError, match="stored in 4 bits, which are not unpacked: w4"):
        simplify(tmp_path / "packed.onnx", name="packed")
