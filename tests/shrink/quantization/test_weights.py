import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import ModelLoadError
from edgekit.shrink.quantization.weights import bias_floor, choose_weight, refuse_not_finite, round_weight
from edgekit.types.graph import Node
from tests.shrink.quantization.graphs import CONV, make, weights


def linear(op, weight, **attributes):
    node = Node("n", op, ("x", "w"), ("y",), attributes)
    graph = make([node], {"x": (1, 1), "y": (1, 1)}, {"w": weight}, outputs=("y",))
    return graph, node


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 9), st.sampled_from(["Gemm", "Conv"]))
def test_no_pair_of_neighbours_can_saturate_sixteen_bits(seed, channels, depth, op):
    shape = (channels, depth) if op == "Gemm" else (channels, depth, 3, 3)
    weight = np.random.default_rng(seed).standard_t(2, size=shape).astype(np.float32)
    graph, node = linear(op, weight, **({} if op == "Gemm" else CONV))
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    integers = round_weight(weight, params).astype(int)
    if op == "Conv" and depth == 1:
        return  # depthwise kernels do not add pairs
    rows = integers if op == "Gemm" else np.moveaxis(integers, 1, -1).reshape(channels, -1)
    even, odd = rows[:, : rows.shape[1] // 2 * 2 : 2], rows[:, 1::2]
    worst = np.abs(even + odd)[even * odd > 0]
    assert worst.max(initial=0) <= 128
    assert 255 * worst.max(initial=0) <= 32767


@given(st.integers(0, 2**31))
def test_rounding_error_is_at_most_half_a_step_and_127_is_never_passed(seed):
    weight = weights(seed, 5, 7)
    graph, node = linear("Gemm", weight)
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    integers = round_weight(weight, params)
    error = np.abs(params.dequantize(integers) - weight)
    assert (error <= params.scale[:, None] / 2 * 1.0001).all()
    assert np.abs(integers.astype(int)).max() <= 127


def test_pair_safety_widens_only_the_channels_that_need_it():
    weight = np.float32([[1.0, 1.0, 0.0], [1.0, -1.0, 0.5]])
    graph, node = linear("Gemm", weight)
    plain = choose_weight(graph, node, weight, scheme="full").scale
    safe = choose_weight(graph, node, weight, scheme="pair-safe").scale
    np.testing.assert_allclose(plain, [1 / 127, 1 / 127], rtol=1e-6)
    np.testing.assert_allclose(safe, [2 / 127.9, 1 / 127], rtol=1e-6)


def test_a_dead_channel_gets_a_positive_scale_and_zero_integers():
    weight = np.float32([[0.0, 0.0], [1.0, 0.5]])
    graph, node = linear("Gemm", weight)
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    assert (params.scale > 0).all()
    assert not round_weight(weight, params)[0].any()


def test_a_large_bias_widens_the_scale_until_it_fits_int32():
    weight = np.float32([[1e-7, -1e-7]])
    graph, node = linear("Gemm", weight)
    floor = bias_floor(np.float32([50.0]), input_scale=1e-3)
    params = choose_weight(graph, node, weight, scheme="pair-safe", floor=floor)
    assert 50.0 / (1e-3 * float(params.scale[0])) == pytest.approx(2.0**30, rel=1e-6)


def test_grouped_transposed_convolution_has_one_scale():
    weight = weights(0, 4, 2, 3, 3)
    graph, node = linear("ConvTranspose", weight, **{**CONV, "group": 2, "output_padding": (0, 0)})
    assert choose_weight(graph, node, weight, scheme="pair-safe").axis is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named_before_the_work(value):
    weight = np.ones((2, 3), np.float32)
    graph, _ = linear("Gemm", weight)
    refuse_not_finite(graph)
    weight[1, 2] = value
    with pytest.raises(ModelLoadError, match=r"w of n \(Gemm\)"):
        refuse_not_finite(graph)
