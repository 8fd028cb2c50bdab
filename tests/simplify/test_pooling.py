import numpy as np
import pytest

W = np.random.default_rng(0).normal(size=(4, 3, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(float[1,3,4,5] x) => (float y) { y = ReduceMean(x, a) }", "GlobalAveragePool"),
        ("(float[1,3,4,5] x) => (float y) { y = ReduceMean <keepdims=0> (x, a) }", "GlobalAveragePool Reshape"),
        ("(float[1,3,4,5] x) => (float y) { y = AveragePool <kernel_shape=[4,5]> (x) }", "GlobalAveragePool"),
        ("(float[1,3,4,5] x) => (float y) { y = AveragePool <kernel_shape=[4,2]> (x) }", "AveragePool"),
        ("(float[1,4,5,3] x) => (float y) { y = ReduceMean <keepdims=0> (x, b) }", "ReduceMean"),
    ],
)
def test_means_of_a_whole_map(check, text, expected):
    assert check(text, {"a": np.int64([-1, -2]), "b": np.int64([1, 2])}).ops == expected


def test_the_mean_of_a_sequence_stays_a_reduction_the_mean_of_a_1d_map_does_not(check):
    axes = {"a": np.int64([2]), "w": W}
    plain = check("(float[1,3,9] x) => (float y) { e = Exp(x) \n y = ReduceMean(e, a) }", axes)
    assert plain.ops == "Exp ReduceMean"
    body = "c = Conv(x, w) \n r = Relu(c) \n s = Sigmoid(r) \n y = ReduceMean(s, a)"
    assert check(f"(float[1,3,9] x) => (float y) {{ {body} }}", axes).ops == "Conv! Sigmoid GlobalAveragePool"


def test_a_1d_map_laid_out_as_2d_is_pooled_as_it_is(check):
    body = "u = Unsqueeze(x, two) \n p = ReduceMean <keepdims=1> (u, a) \n y = Squeeze(p, two)"
    weights = {"two": np.int64([2]), "a": np.int64([2, 3])}
    assert check(f"(float[1,3,9] x) => (float y) {{ {body} }}", weights).ops == "GlobalAveragePool"
