import numpy as np
import pytest

RNG = np.random.default_rng(0)


def norm(channels):
    return {
        "g": RNG.normal(size=channels).astype(np.float32),
        "b": RNG.normal(size=channels).astype(np.float32),
        "m": RNG.normal(size=channels).astype(np.float32),
        "v": RNG.uniform(0.2, 2, size=channels).astype(np.float32),
    }


def w(*shape):
    return RNG.normal(size=shape).astype(np.float32)


BN = "BatchNormalization <epsilon=0.01> (c, g, b, m, v)"


@pytest.mark.parametrize(
    ("linear", "shape", "weight", "channels", "expected"),
    [
        ("Conv <group=2> (x, w)", "1,4,6,6", (6, 2, 3, 3), 6, "Conv!"),
        ("Conv (x, w)", "1,4,6", (5, 4, 3), 5, "Conv!"),
        ("ConvTranspose <group=2, strides=[2,2]> (x, w)", "1,4,6,6", (4, 3, 3, 3), 6, "ConvTranspose!"),
        ("Gemm <transB=1> (x, w)", "1,4", (6, 4), 6, "Gemm!"),
        ("MatMul (x, w)", "1,4", (4, 6), 6, "Gemm!"),
    ],
)
def test_it_disappears_into_the_linear_layer_before_it(check, linear, shape, weight, channels, expected):
    weights = {"w": w(*weight), **norm(channels)}
    found = check(f"(float[{shape}] x) => (float y) {{ c = {linear} \n n = {BN} \n y = Relu(n) }}", weights)
    assert found.ops == expected
    (left,) = found.simplified.batchnorms
    assert left.value == found.graph.outputs[0]
    np.testing.assert_allclose(left.mean, weights["b"], rtol=1e-6)
    np.testing.assert_allclose(left.variance, weights["g"] ** 2 * weights["v"] / (weights["v"] + 0.01), rtol=1e-5)


def test_one_that_stands_alone_is_mul_and_add(check):
    found = check(f"(float[1,4,6,6] c) => (float y) {{ n = {BN} \n y = Relu(n) }}", norm(4))
    assert found.ops == "Mul Add!"
    assert found.simplified.batchnorms == ()


def test_one_whose_input_is_read_twice_stays_apart(check):
    text = f"(float[1,4,6,6] x) => (float y) {{ c = Conv(x, w) \n n = {BN} \n y = Add(n, c) }}"
    found = check(text, {"w": w(4, 4, 1, 1), **norm(4)})
    assert found.ops == "Conv Mul Add Add"


def test_one_before_an_unpadded_convolution_is_folded_forwards(check):
    text = f"(float[1,4,6,6] c) => (float y) {{ n = {BN} \n y = Conv <group=1> (n, w) }}"
    assert check(text, {"w": w(5, 4, 3, 3), **norm(4)}).ops == "Conv"


def test_zero_padding_keeps_the_addend_apart(check):
    text = f"(float[1,4,6,6] c) => (float y) {{ n = {BN} \n y = Conv <pads=[1,1,1,1]> (n, w) }}"
    assert check(text, {"w": w(5, 4, 3, 3), **norm(4)}).ops == "Mul Add Conv"


def test_statistics_do_not_outlive_a_later_change_of_scale(check):
    text = f"(float[1,4,6,6] x) => (float y) {{ c = Conv(x, w) \n n = {BN} \n y = Mul(n, k) }}"
    found = check(text, {"w": w(4, 4, 1, 1), "k": np.float32(3), **norm(4)})
    assert found.ops == "Conv"
    assert found.simplified.batchnorms == ()


def test_statistics_outlive_a_factor_on_the_input(check):
    body = f"p = MaxPool <kernel_shape=[2,2]> (x) \n q = Mul(p, half) \n c = Conv(q, weight) \n n = {BN} \n y = Relu(n)"
    weights = {"weight": w(4, 4, 1, 1), "half": np.float32(3), **norm(4)}
    found = check(f"(float[1,4,6,6] x) => (float y) {{ {body} }}", weights)
    assert found.ops == "MaxPool Conv!"
    assert len(found.simplified.batchnorms) == 1
