import numpy as np
import onnx
import pytest
from onnx import helper

from edgekit.errors import UnsupportedOpError
from edgekit.simplify.module_paths import SCOPES_KEY


def test_every_operator_is_listed_with_module_and_reason(check, parsed):
    body = "v, i = TopK(x, k) \n c = CumSum(v, zero) \n d = Det(m) \n u = Unsqueeze(d, at) \n y = Mul(c, u)"
    weights = {"k": np.int64([2]), "zero": np.int64(1), "at": np.int64([1])}
    model = parsed(f"(float[1,5] x, float[1,3,3] m) => (float y) {{ {body} }}", weights)
    model.graph.node[0].metadata_props.add(key=SCOPES_KEY, value="['', 'head', 'head.best', 'topk']")
    with pytest.raises(UnsupportedOpError) as raised:
        check(model)
    assert [operator for operator, _, _ in raised.value.operators] == ["TopK", "CumSum", "Det"]
    assert raised.value.operators[0][1] == "head.best"
    assert "order or count found at run time" in raised.value.operators[0][2]
    assert raised.value.hint


def test_operators_of_other_domains_are_named_with_it(check, tmp_path):
    node = helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")
    border = [helper.make_tensor_value_info(name, 1, [1, 3, 3]) for name in "xy"]
    graph = helper.make_graph([node], "net", border[:1], border[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    with pytest.raises(UnsupportedOpError, match=r"com\.microsoft\.FusedMatMul"):
        check(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def test_a_model_that_is_quantized_already_is_recognized(check):
    body = "q = QuantizeLinear(x, s, z) \n y = DequantizeLinear(q, s, z)"
    with pytest.raises(UnsupportedOpError, match="quantized already"):
        check(f"(float[1,3] x) => (float y) {{ {body} }}", {"s": np.float32(0.1), "z": np.int8(0)})


def test_branches_on_run_time_values_are_refused(check):
    branch = onnx.parser.parse_graph("b () => (float[1,3] o) { o = Exp(x) }")
    other = onnx.parser.parse_graph("b () => (float[1,3] o) { o = Sin(x) }")
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other)
    inputs = [helper.make_tensor_value_info("x", 1, [1, 3]), helper.make_tensor_value_info("c", 9, [1])]
    graph = helper.make_graph([node], "net", inputs, [helper.make_tensor_value_info("y", 1, [1, 3])])
    with pytest.raises(UnsupportedOpError, match="control flow depends on values"):
        check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8))
