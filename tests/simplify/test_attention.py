import numpy as np
import pytest

from edgekit.errors import UnsupportedOpError


def model(attributes="", operands="q, k, v", inputs="float[1,2,5,4] q, float[1,2,6,4] k, float[1,2,6,3] v"):
    return f"({inputs}) => (float y) {{ y = Attention {attributes} ({operands}) }}"


def test_heads_apart(check):
    assert check(model(), opset=23).ops == "Mul Transpose MatMul Softmax MatMul"


def test_heads_together(check):
    inputs = "float[1,5,8] q, float[1,6,8] k, float[1,6,6] v"
    found = check(model("<q_num_heads=2, kv_num_heads=2, scale=0.3>", inputs=inputs), opset=23)
    assert found.ops.count("Transpose") == 4
    assert found.ops.count("MatMul") == 2


def test_fewer_key_heads_are_repeated(check):
    inputs = "float[1,4,5,4] q, float[1,2,6,4] k, float[1,2,6,3] v"
    assert "Expand" in check(model(inputs=inputs), opset=23).ops


@pytest.mark.parametrize("mask", [np.float32, np.bool_])
def test_masks_are_one_added_constant(check, mask):
    array = np.tri(5, 6, 2)
    given = array.astype(bool) if mask is np.bool_ else np.where(array, 0, -np.inf).astype(np.float32)
    found = check(model("<is_causal=1>", "q, k, v, m"), {"m": given}, opset=23)
    assert found.ops == "Mul Transpose MatMul Add Softmax MatMul"


def test_a_mask_computed_at_run_time_is_added(check):
    inputs = "float[1,2,5,4] q, float[1,2,6,4] k, float[1,2,6,3] v, float[1,1,5,6] m"
    assert "Add" in check(model("", "q, k, v, m", inputs), opset=23).ops


def test_soft_caps_are_refused(check):
    with pytest.raises(UnsupportedOpError, match="caps its scores"):
        check(model("<softcap=2.0>"), opset=23)
