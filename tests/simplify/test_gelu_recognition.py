import numpy as np
import pytest

WEIGHTS = {
    "half": np.float32(0.5),
    "one": np.float32(1),
    "root2": np.float32(np.sqrt(2)),
    "iroot2": np.float32(1 / np.sqrt(2)),
    "c": np.float32(0.044715),
    "k": np.float32(np.sqrt(2 / np.pi)),
    "three": np.float32(3),
}
ERF = "d = Div(x, root2) \n e = Erf(d) \n a = Add(e, one)"
TANH = "p = Pow(x, three) \n q = Mul(c, p) \n s = Add(x, q) \n t = Mul(k, s) \n h = Tanh(t) \n a = Add(one, h)"


@pytest.mark.parametrize("core", [ERF, TANH, ERF.replace("Div(x, root2)", "Mul(iroot2, x)")])
@pytest.mark.parametrize(
    "product",
    [
        "b = Mul(x, a) \n y = Mul(b, half)",
        "b = Mul(x, half) \n y = Mul(a, b)",
        "b = Mul(half, a) \n y = Mul(b, x)",
    ],
)
def test_every_association_is_found(check, core, product):
    found = check(f"(float[1,60] x) => (float y) {{ {core} \n {product} }}", WEIGHTS)
    assert found.ops == "Gelu"
    assert found.node("Gelu").attributes == {"approximate": "none" if "Erf" in core else "tanh"}


def test_a_sum_in_front_is_part_of_x(check):
    text = f"(float[1,60] z) => (float y) {{ x = Add(z, z) \n {ERF} \n b = Mul(x, a) \n y = Mul(b, half) }}"
    assert check(text, WEIGHTS).ops == "Add Gelu"


def test_something_close_but_different_is_not_taken_for_it(check):
    text = f"(float[1,60] x) => (float y) {{ {TANH} \n b = Mul(x, a) \n y = Mul(b, half) }}"
    assert "Gelu" not in check(text, {**WEIGHTS, "c": np.float32(0.05)}).ops
