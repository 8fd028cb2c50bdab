import numpy as np
import pytest

RNG = np.random.default_rng(2)


def w(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("body", "scale", "expected"),
    [
        ("y = LayerNormalization(x, s, b)", (6,), "LayerNormalization"),
        ("y = LayerNormalization(x, s)", (6,), "LayerNormalization"),
        ("y = LayerNormalization <axis=1> (x, s, b)", (4, 6), "Reshape LayerNormalization Reshape"),
        ("y = InstanceNormalization(x, s, b)", (4,), "Reshape LayerNormalization Reshape Mul Add"),
    ],
)
def test_normalizations(check, body, scale, expected):
    text = f"(float[1,4,6] x) => (float y) {{ {body} }}"
    assert check(text, {"s": w(*scale), "b": w(*scale)}, tolerance=1e-5).ops.replace("Reshape Mul", "Reshape Mul") in (
        expected,
        expected.replace("Reshape LayerNormalization Reshape Mul", "LayerNormalization Mul"),
    )


@pytest.mark.parametrize(("opset", "size"), [(18, 2), (21, 4)])
def test_group_normalization(check, opset, size):
    text = "(float[1,4,3,3] x) => (float y) { y = GroupNormalization <num_groups=2> (x, s, b) }"
    found = check(text, {"s": w(size), "b": w(size)}, opset=opset, tolerance=1e-5)
    assert found.ops == "Reshape LayerNormalization Reshape Mul Add"


def test_a_scale_computed_at_run_time_stays_outside(check):
    text = "(float[1,4,6] x, float[1,1,6] s) => (float y) { r = Reshape(s, n) \n y = LayerNormalization(x, r) }"
    assert check(text, {"n": np.int64([6])}, tolerance=1e-5).ops == "Reshape LayerNormalization Mul"


def test_rms_normalization_is_primitives(check):
    text = "(float[1,4,6] x) => (float y) { y = RMSNormalization(x, s) }"
    found = check(text, {"s": w(6)}, opset=23, tolerance=1e-5)
    assert found.ops == "Mul ReduceMean Add Sqrt Reciprocal Mul Mul"
