import numpy as np
import pytest

from edgekit.simplify.affine_folding import fold_affine
from edgekit.types.graph import Graph, Node, Value

RNG = np.random.default_rng(3)


def w(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def image(body):
    return f"(float[1,4,6,6] x) => (float y) {{ {body} }}"


@pytest.mark.parametrize("shape", [(), (1,), (5, 1, 1), (1, 5, 1, 1)])
@pytest.mark.parametrize("op", ["Mul", "Add", "Sub", "Div"])
def test_constants_after_a_convolution_fold_into_it(check, op, shape):
    weights = {"w": w(5, 4, 3, 3), "k": np.abs(w(*shape)) + np.float32(0.5)}
    assert check(image(f"c = Conv(x, w) \n y = {op}(c, k)"), weights).ops == "Conv"


def test_a_constant_along_another_axis_stays(check):
    assert check(image("c = Conv(x, w) \n y = Mul(c, k)"), {"w": w(5, 4, 3, 3), "k": w(1, 1, 1, 4)}).ops == "Conv Mul"


def test_a_product_never_passes_a_clamp(check):
    found = check(image("c = Conv(x, w) \n r = Relu(c) \n y = Mul(r, k)"), {"w": w(5, 4, 3, 3), "k": np.float32(-2)})
    assert found.ops == "Conv! Mul"


@pytest.mark.parametrize("group", [1, 2])
def test_input_normalisation_folds_into_the_first_layer(check, group):
    weights = {"w": w(6, 4 // group, 3, 3), "m": w(1, 4, 1, 1), "s": np.abs(w(1, 4, 1, 1)) + np.float32(1)}
    found = check(image(f"a = Sub(x, m) \n b = Div(a, s) \n y = Conv <group={group}> (b, w)"), weights)
    assert found.ops == "Conv"


def test_a_factor_before_a_padded_convolution_folds_an_addend_does_not(check):
    weights = {"w": w(6, 4, 3, 3), "k": w(1, 4, 1, 1)}
    assert check(image("a = Mul(x, k) \n y = Conv <pads=[1,1,1,1]> (a, w)"), weights).ops == "Conv"
    assert check(image("a = Add(x, k) \n y = Conv <pads=[1,1,1,1]> (a, w)"), weights).ops == "Add Conv"


def test_the_factor_of_a_transposed_convolution_folds(check):
    weights = {"w": w(4, 3, 3, 3), "k": w(1, 4, 1, 1)}
    assert check(image("a = Mul(x, k) \n y = ConvTranspose <group=2> (a, w)"), weights).ops == "ConvTranspose"


def test_attention_scaling_passes_movement_into_the_projection(check):
    body = "g = MatMul(x, w) \n r = Reshape(g, s) \n t = Transpose <perm=[0,2,1,3]> (r) \n y = Mul(t, k)"
    weights = {"w": w(8, 12), "s": np.int64([1, 5, 3, 4]), "k": np.float32(0.5)}
    found = check(f"(float[1,5,8] x) => (float y) {{ {body} }}", weights)
    assert found.ops == "Gemm Reshape Transpose"


def test_factors_on_both_sides_of_a_matmul_are_one(check):
    body = "a = Mul(x, k) \n b = Mul(z, k) \n y = MatMul(a, b)"
    found = check(f"(float[1,5,8] x, float[1,8,3] z) => (float y) {{ {body} }}", {"k": np.float32(0.7)})
    assert found.ops == "Mul MatMul"


def test_consecutive_scalar_factors_are_one(check):
    found = check(image("a = Mul(x, k) \n b = Mul(a, k) \n y = Sigmoid(b)"), {"k": np.float32(0.7)})
    assert found.ops == "Mul Sigmoid"


def test_a_clamp_that_is_absorbed_already_is_not_passed():
    nodes = (
        Node("g", "Gemm", ("x", "w", "b"), ("v",), clamp=(0.0, 6.0)),
        Node("m", "Mul", ("v", "k"), ("y",)),
    )
    values = {name: Value(name, (1, 2)) for name in ("x", "v", "y")}
    constants = {"w": np.eye(2, dtype=np.float32), "b": np.zeros(2, np.float32), "k": np.float32(-1).reshape(())}
    graph = Graph("net", ("x",), ("y",), nodes, values, constants)
    assert [node.op for node in fold_affine(graph).nodes] == ["Gemm", "Mul"]
