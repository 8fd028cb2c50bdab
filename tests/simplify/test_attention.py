import numpy as np
import pytest
import torch

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


GUARDED = "s = MatMul(q, k) \n {sum} p = Softmax(z) \n n = IsNaN(p) \n y = Where(n, zero, p)"
SCORES = "float[1,2,5,4] q, float[1,2,4,6] k"


@pytest.mark.parametrize("masked", ["nothing", "some", "all but one"])
def test_the_guard_against_nan_goes_where_no_row_is_masked_whole(check, masked):
    mask = {"nothing": np.zeros((5, 6)), "some": np.where(np.tri(5, 6) > 0, 0, -np.inf), "all but one": [[-np.inf] * 6]}
    array = np.array(mask[masked], np.float32)
    array[:, 0] = 0
    text = f"({SCORES}) => (float y) {{ {GUARDED.format(sum='z = Add(m, s)')} }}"
    found = check(text, {"m": array, "zero": np.float32(0)})
    assert found.ops.split()[-1] == "Softmax"


@pytest.mark.parametrize("sum", ["z = Add(m, s)", "z = Add(r, s)"])
def test_the_guard_stays_where_a_row_may_be_masked_whole(check, sum):
    array = np.zeros((5, 6), np.float32)
    array[3] = -np.inf
    text = f"({SCORES}, float[5,6] r) => (float y) {{ {GUARDED.format(sum=sum)} }}"
    with pytest.raises(UnsupportedOpError, match="IsNaN"):
        check(text, {"m": array, "zero": np.float32(0)})


def test_what_torch_exports_of_a_boolean_mask(tmp_path):
    """As Hugging Face's models call it."""
    from edgekit.load.checkpoint import open_model
    from edgekit.simplify.simplification import simplify
    from edgekit.types.spec import TensorSpec

    class Attention(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, torch.ones(1, 1, 5, 5, dtype=torch.bool))

    loaded = open_model(Attention(), workdir=tmp_path, inputs=[TensorSpec("x", (1, 2, 5, 4), "float32")])
    assert [node.op for node in simplify(loaded.path, name="net").graph.nodes].count("Softmax") == 1
