import numpy as np
import pytest

RNG = np.random.default_rng(2)
CORE = "m = ReduceMean(x, a) \n d = Sub(x, m) \n q = {square} \n v = ReduceMean(q, a) \n e = Add(v, eps) \n s = Sqrt(e)"
WEIGHTS = {"eps": np.float32(1e-5), "two": np.float32(2)}


def model(square, quotient, after, shape="1,4,6"):
    body = f"{CORE.format(square=square)} \n {quotient} \n {after}"
    return f"(float[{shape}] x) => (float y) {{ {body} }}"


@pytest.mark.parametrize("square", ["Pow(d, two)", "Mul(d, d)"])
@pytest.mark.parametrize("quotient", ["n = Div(d, s)", "i = Reciprocal(s) \n n = Mul(d, i)"])
def test_primitives_are_one_node(check, square, quotient):
    weights = {**WEIGHTS, "a": np.int64([-1]), "w": RNG.normal(size=6).astype(np.float32), "b": np.ones(6, np.float32)}
    found = check(model(square, quotient, "f = Mul(w, n) \n y = Add(f, b)"), weights, tolerance=1e-5)
    assert found.ops == "LayerNormalization"
    scale, bias = (found.graph.constants[name] for name in found.node("LayerNormalization").inputs[1:])
    np.testing.assert_array_equal(scale, weights["w"])
    np.testing.assert_array_equal(bias, weights["b"])


def test_channels_first_is_turned(check):
    weights = {**WEIGHTS, "a": np.int64([1]), "w": RNG.normal(size=(4, 1, 1)).astype(np.float32)}
    found = check(model("Mul(d, d)", "n = Div(d, s)", "y = Mul(w, n)", "1,4,3,5"), weights, tolerance=1e-5)
    assert found.ops == "Transpose LayerNormalization Transpose"


def test_a_scale_along_another_axis_stays_outside(check):
    weights = {**WEIGHTS, "a": np.int64([-1]), "w": RNG.normal(size=(4, 1)).astype(np.float32)}
    found = check(model("Mul(d, d)", "n = Div(d, s)", "y = Mul(w, n)"), weights, tolerance=1e-5)
    assert found.ops == "LayerNormalization Mul"


def test_a_variance_over_other_axes_is_not_taken_for_it(check):
    text = model("Mul(d, d)", "n = Div(d, s)", "y = Neg(n)").replace("ReduceMean(q, a)", "ReduceMean(q, o)")
    found = check(text, {**WEIGHTS, "a": np.int64([-1]), "o": np.int64([1])}, tolerance=1e-5)
    assert "LayerNormalization" not in found.ops
