"""int8 operators against loops over exact fractions, and against their own definition."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.runtime.reference.linear import exact_dtype
from edgekit.runtime.reference.rounding import integer_bounds
from edgekit.testing import single_op, strategies
from edgekit.testing.case import Case
from edgekit.types.qparams import Array, QParams

LIMIT = settings(max_examples=20)


def _is_int8(case: Case) -> bool:
    return not case.quantized.islands


def _integers(case: Case) -> Array:
    return ReferenceSession(case.quantized).run_integers(case.feeds)["y0"]


def _stored(case: Case, name: str) -> Array:
    if name in case.quantized.integers:
        return case.quantized.integers[name]
    return case.quantized.qparams[name].quantize(case.feeds[name])


def _scale(params: QParams, channel: int) -> Fraction:
    return Fraction(float(params.scale.reshape(-1)[channel if params.axis is not None else 0]))


def _finish(case: Case, accumulator: int, channel: int) -> int:
    """Requantize one int32 accumulator in exact arithmetic."""
    table, node = case.quantized.qparams, case.quantized.graph.nodes[0]
    target = table["y0"]
    scale = _scale(table["x0"], 0) * _scale(table[node.inputs[1]], channel) / _scale(target, 0)
    low, high = integer_bounds(target, node.clamp)
    return min(max(round(accumulator * scale) + int(target.zero_point), low), high)


def _bias(case: Case, channel: int) -> int:
    return int(_stored(case, "c2")[channel]) if "c2" in case.quantized.integers else 0


def _slow_conv(case: Case) -> Array:
    """Every output element by its definition, in Python integers."""
    graph, keys = case.quantized.graph, case.quantized.graph.nodes[0].attributes
    x = _stored(case, "x0").astype(int) - int(case.quantized.qparams["x0"].zero_point)
    w = _stored(case, "c1").astype(int)
    rank, result = w.ndim - 2, np.empty(graph.shape("y0"), np.int64)
    inputs_per_group, outputs_per_group = w.shape[1], w.shape[0] // keys["group"]
    for channel, *position in product(*map(range, result.shape[1:])):
        total = _bias(case, channel)
        for depth, *tap in product(*map(range, w.shape[1:])):
            where = [
                position[axis] * keys["strides"][axis] + tap[axis] * keys["dilations"][axis] - keys["pads"][axis]
                for axis in range(rank)
            ]
            if all(0 <= index < size for index, size in zip(where, x.shape[2:], strict=True)):
                source = channel // outputs_per_group * inputs_per_group + depth
                total += int(x[(0, source, *where)]) * int(w[(channel, depth, *tap)])
        result[(0, channel, *position)] = _finish(case, total, channel)
    return result


@LIMIT
@given(strategies.conv_cases().filter(_is_int8))
def test_conv_equals_loops_over_exact_integers(case: Case) -> None:
    np.testing.assert_array_equal(_integers(case), _slow_conv(case))


def _slow_conv_transpose(case: Case) -> Array:
    graph, keys = case.quantized.graph, case.quantized.graph.nodes[0].attributes
    x = _stored(case, "x0").astype(int) - int(case.quantized.qparams["x0"].zero_point)
    w = _stored(case, "c1").astype(int)
    rank, result = w.ndim - 2, np.zeros(graph.shape("y0"), np.int64)
    inputs_per_group = x.shape[1] // keys["group"]
    for source, *position in product(*map(range, x.shape[1:])):
        for depth, *tap in product(*map(range, w.shape[1:])):
            channel = source // inputs_per_group * w.shape[1] + depth
            where = [
                position[axis] * keys["strides"][axis] + tap[axis] * keys["dilations"][axis] - keys["pads"][axis]
                for axis in range(rank)
            ]
            if all(0 <= index < size for index, size in zip(where, result.shape[2:], strict=True)):
                result[(0, channel, *where)] += int(x[(0, source, *position)]) * int(w[(source, depth, *tap)])
    for channel, *position in product(*map(range, result.shape[1:])):
        index = (0, channel, *position)
        result[index] = _finish(case, int(result[index]) + _bias(case, channel), channel)
    return result


@LIMIT
@given(strategies.conv_transpose_cases().filter(_is_int8))
def test_conv_transpose_equals_loops_over_exact_integers(case: Case) -> None:
    np.testing.assert_array_equal(_integers(case), _slow_conv_transpose(case))


@LIMIT
@given(strategies.gemm_cases().filter(_is_int8))
def test_gemm_equals_integer_products(case: Case) -> None:
    x = _stored(case, "x0").astype(np.int64) - int(case.quantized.qparams["x0"].zero_point)
    totals = x @ _stored(case, "c1").astype(np.int64).T
    expected = np.empty(totals.shape, np.int64)
    for index in np.ndindex(totals.shape):
        expected[index] = _finish(case, int(totals[index]) + _bias(case, index[-1]), index[-1])
    np.testing.assert_array_equal(_integers(case), expected)


@LIMIT
@given(strategies.pool_cases("AveragePool"))
def test_average_pool_is_within_half_a_step_of_the_exact_mean(case: Case) -> None:
    exact = ReferenceSession(as_float(case.quantized.graph)).run(case.feeds)["y0"]
    got = ReferenceSession(case.quantized).run(case.feeds)["y0"]
    assert np.abs(got - exact).max() <= float(case.quantized.qparams["y0"].scale) * 0.5001


MOVED = ("Split", "Slice", "Reshape", "Transpose", "Expand", "DepthToSpace", "SpaceToDepth", "MaxPool", "ReduceMax")


@pytest.mark.parametrize("op", MOVED)
def test_moving_integers_is_moving_reals(op: str) -> None:
    @LIMIT
    @given(strategies.cases(op))
    def holds(case: Case) -> None:
        exact = ReferenceSession(as_float(case.quantized.graph)).run(case.feeds)
        got = ReferenceSession(case.quantized).run(case.feeds)
        for name, array in exact.items():
            np.testing.assert_array_equal(got[name], array)

    holds()


def test_identity_weights_hand_the_input_on() -> None:
    case = single_op.conv_case(channels=(4, 4), kernel=(1, 1), bias=False)
    eye = np.eye(4, dtype=np.int8).reshape(4, 4, 1, 1) * 127
    table = dict(case.quantized.qparams)
    table["c1"] = QParams(np.full(4, 1 / 127), np.zeros(4), axis=0)
    table["y0"] = table["x0"]
    quantized = type(case.quantized)(case.quantized.graph, table, {"c1": eye})
    stored = ReferenceSession(quantized).run_integers(case.feeds)["y0"]
    np.testing.assert_array_equal(stored, table["x0"].quantize(case.feeds["x0"]))


@pytest.mark.parametrize("widen", [0.1, 0.5])
def test_a_narrow_result_saturates_at_both_ends(widen: float) -> None:
    case = single_op.requantize_case(5, shape=(1, 200), widen=widen)
    wide = case.quantized.qparams["y0"]
    stored = _integers(case)
    beyond = case.feeds["x0"] > wide.high
    assert beyond.any()
    assert (stored[beyond] == 127).all()
    assert stored.min() == max(-128, int(wide.quantize(case.feeds["x0"].min(keepdims=True)).item()))


def test_float32_products_are_used_only_where_they_are_exact() -> None:
    x, w = np.full((1, 1000), 255), np.full((4, 1000), 127)
    assert exact_dtype("Gemm", x, w) is np.float64
    assert exact_dtype("Gemm", x[:, :500], w[:, :500]) is np.float32


def test_a_sum_beyond_float32_is_exact() -> None:
    case = single_op.gemm_case(shape=(1, 3000), width=2, bias=False)
    rng = np.random.default_rng(0)
    weights = rng.choice([-127, 127, 126], size=(2, 3000)).astype(np.int8)
    quantized = type(case.quantized)(case.quantized.graph, case.quantized.qparams, {"c1": weights})
    patched = Case(case.label, quantized, case.feeds)
    x = _stored(patched, "x0").astype(np.int64) - int(quantized.qparams["x0"].zero_point)
    totals = x @ weights.astype(np.int64).T
    expected = [_finish(patched, int(total), channel) for channel, total in enumerate(totals[0])]
    np.testing.assert_array_equal(_integers(patched)[0], expected)


def test_argmax_takes_the_first_of_equals() -> None:
    case = single_op.reduce_case("ArgMax", shape=(1, 6), axes=(1,), keepdims=0)
    feeds = {"x0": np.array([[0, 1, 1, 0, 1, 0]], np.float32) * case.quantized.qparams["x0"].scale}
    result = ReferenceSession(case.quantized).run(feeds)["y0"]
    assert result.dtype == np.int64
    assert result.tolist() == [1]
