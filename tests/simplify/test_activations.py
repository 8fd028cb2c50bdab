import numpy as np
import pytest


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = HardSwish(x)", "Add! Mul Mul"),
        ("y = HardSigmoid <alpha=0.1667, beta=0.5> (x)", "Add! Mul"),
        ("y = HardSigmoid(x)", "Add! Mul"),
        ("y = Gelu(x)", "Gelu"),
        ('y = Gelu <approximate="tanh"> (x)', "Gelu"),
        ("y = Elu <alpha=0.7> (x)", "Clip Exp Add Mul Clip Add"),
        ("y = Selu(x)", "Clip Exp Add Mul Clip Mul Add"),
        ("y = Celu <alpha=0.7> (x)", "Clip Mul Exp Add Mul Clip Add"),
        ("y = Softplus(x)", "Abs Mul Exp Clip Add Log Add"),
        ("y = Mish(x)", "Abs Mul Exp Clip Add Log Add Tanh Mul"),
        ("y = Softsign(x)", "Abs Add Reciprocal Mul"),
    ],
)
def test_activations(check, body, expected):
    text = f"(float[1,3,40] x) => (float y) {{ b = Mul(x, k) \n {body.replace('(x)', '(b)')} }}"
    found = check(text, {"k": np.float32([[5], [50], [0.01]])}, tolerance=1e-5)
    assert sorted(found.ops.removeprefix("Mul ").split()) == sorted(expected.split())


def test_the_threshold_of_torch_softplus_goes(check):
    body = "p = Softplus(x) \n g = Greater(x, k) \n y = Where(g, x, p)"
    found = check(f"(float[1,40] x) => (float y) {{ {body} }}", {"k": np.float32(20)})
    assert "Log" in found.ops


def test_hard_swish_clips_before_the_product(check):
    found = check("(float[1,40] x) => (float y) { y = HardSwish(x) }")
    assert found.node("Add").clamp == (0.0, 6.0)
