import numpy as np
import pytest

from edgekit.errors import UnsupportedOpError


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Sub(x, k)", "Add"),
        ("y = Sub(k, x)", "Sub"),
        ("y = Div(x, k)", "Mul"),
        ("y = Div(k, e)", "Exp Reciprocal Mul"),
        ("y = Div(x, e)", "Exp Div"),
        ("y = Neg(x)", "Mul"),
        ("y = Pow(x, two)", "Mul"),
        ("y = Pow(x, three)", "Mul Mul"),
        ("y = Pow(e, half)", "Exp Sqrt"),
        ("y = Pow(e, k)", "Exp Pow"),
        ("y = Max(x, two)", "Clip"),
        ("y = Min(x, e, two)", "Exp Min Min"),
        ("y = Sum(x, e, x)", "Exp Add Add"),
        ("y = Mean(x, e)", "Exp Add Mul"),
        ("y = Where(mask, x, k)", "Mul Add"),
        ("y = Where(mask, k, two)", ""),
        ("y = Where(mask, x, e)", "Exp Mul Mul Add"),
        ("y = PRelu(x, k)", "PRelu"),
        ("y = LeakyRelu(x)", "LeakyRelu"),
    ],
)
def test_elementwise_in_one_line(check, body, expected):
    weights = {
        "k": np.float32([[0.5], [1.5], [2.5]]),
        "two": np.float32(2),
        "three": np.float32(3),
        "half": np.float32(0.5),
        "mask": np.array([True, False, True, False]),
    }
    if not expected:  # nothing of x is left
        body, expected = f"c = {body.removeprefix('y = ')} \n y = Add(x, c)", "Add"
    prefix = "e = Exp(x) \n" if "e" in body.split("(")[1] else ""
    assert check(f"(float[1,3,4] x) => (float y) {{ {prefix} {body} }}", weights).ops == expected


def test_masks_of_minus_infinity_become_finite_and_mean_the_same(check):
    mask = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
    found = check("(float[1,4,4] x) => (float y) { m = Add(x, k) \n y = Softmax(m) }", {"k": mask})
    assert found.ops == "Add Softmax"
    (constant,) = found.graph.constants.values()
    assert constant.min() == -1e4


def test_masked_fill_of_minus_infinity(check):
    weights = {"c": np.triu(np.ones((4, 4)), 1).astype(bool), "k": np.float32(-np.inf)}
    text = "(float[1,4,4] x) => (float y) { m = Where(c, k, x) \n y = Softmax(m) }"
    assert check(text, weights).ops == "Mul Add Softmax"


def test_choices_at_run_time_are_refused_with_every_operator_listed(check):
    text = "(float[1,4] x) => (float y) { c = Greater(x, k) \n y = Where(c, x, k) }"
    with pytest.raises(UnsupportedOpError) as raised:
        check(text, {"k": np.float32(0)})
    assert [operator for operator, _, _ in raised.value.operators] == ["Greater", "Where"]
    assert "chooses between values at run time" in raised.value.operators[1][2]
