import numpy as np
import pytest

W = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
PADS = np.int64([0, 0, 1, 0, 0, 0, 2, 1])


def model(body):
    return f"(float[1,3,8,8] x) => (float y) {{ {body} }}"


def test_zero_pads_fold_into_every_convolution_that_reads_them(check):
    body = "p = Pad(x, pads) \n a = Conv <pads=[0,1,0,1]> (p, w) \n b = Conv <pads=[0,1,0,1]> (p, v) \n y = Add(a, b)"
    found = check(model(body), {"pads": PADS, "w": W, "v": W + 1})
    assert found.ops == "Conv Conv Add"
    assert found.graph.nodes[0].attributes["pads"] == (1, 1, 2, 2)


def test_other_values_and_modes_stay(check):
    weights = {"pads": PADS, "w": W, "k": np.float32(1)}
    assert check(model("p = Pad(x, pads, k) \n y = Conv(p, w)"), weights).ops == "Pad Conv"
    assert check(model('p = Pad <mode="reflect"> (x, pads) \n y = Conv(p, w)'), weights).ops == "Pad Conv"


def test_channel_pads_stay(check):
    pads = np.int64([0, 1, 0, 0, 0, 0, 0, 0])
    assert check(model("p = Pad(x, q) \n y = Sigmoid(p)"), {"q": pads}).ops == "Pad Sigmoid"


@pytest.mark.parametrize(("attributes", "expected"), [("", "AveragePool"), ("pads=[1,0,0,0], ", "Pad AveragePool")])
def test_average_pools_count_folded_pads(check, attributes, expected):
    body = f"p = Pad(x, pads) \n y = AveragePool <{attributes}kernel_shape=[3,3]> (p)"
    assert check(model(body), {"pads": PADS}).ops == expected


def test_max_pools_take_pads_of_minus_infinity(check):
    body = "p = Pad(x, pads, k) \n y = MaxPool <kernel_shape=[3,3]> (p)"
    assert check(model(body), {"pads": PADS, "k": np.float32(-np.inf)}).ops == "MaxPool"
    assert check(model(body), {"pads": PADS, "k": np.float32(0)}).ops == "Pad MaxPool"


def test_max_pools_after_relu_take_zero_pads(check):
    body = "c = Conv(x, w) \n r = Relu(c) \n p = Pad(r, pads) \n y = MaxPool <kernel_shape=[3,3]> (p)"
    assert check(model(body), {"pads": PADS, "w": W}).ops == "Conv! MaxPool"
    wide = np.int64([0, 0, 3, 0, 0, 0, 0, 0])  # whole windows of padding
    assert check(model(body), {"pads": wide, "w": W}).ops == "Conv! Pad MaxPool"
