import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shrink.quantization.int4_rounding import round_int4
from edgekit.shrink.quantization.int4_scales import choose_int4


def draw(seed, *, groups=1, outputs=4, depth=32):
    """Correlated columns, weights, and a scale for each half of a row."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(groups, depth, depth // 2))
    second = mix @ mix.transpose(0, 2, 1) / depth + 0.01 * np.eye(depth)
    rows = rng.normal(size=(groups, outputs, depth)).astype(np.float32)
    half = np.abs(rows).reshape(groups, outputs, 2, -1).max(axis=3, keepdims=True) / 7
    scale = np.broadcast_to(half, (groups, outputs, 2, depth // 2)).reshape(rows.shape).astype(np.float32)
    return rows, scale, second


def cost(rows, scale, second, integers):
    error = (rows - integers * scale).astype(np.float64)
    return np.einsum("gok,gkl,gol->go", error, second, error)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_no_row_is_worse_than_nearest(seed, groups):
    rows, scale, second = draw(seed, groups=groups)
    found = round_int4(rows, scale, second)
    assert found.dtype == np.int8
    assert found.min() >= -8
    assert found.max() <= 7
    nearest = np.clip(np.rint(rows / scale), -8, 7)
    assert (cost(rows, scale, second, found) <= cost(rows, scale, second, nearest) * 1.001 + 1e-9).all()


def test_errors_cancel_where_columns_go_together():
    rows, scale, second = draw(0, outputs=16, depth=128)
    nearest = np.clip(np.rint(rows / scale), -8, 7)
    found = round_int4(rows, scale, second)
    assert cost(rows, scale, second, found).sum() < 0.5 * cost(rows, scale, second, nearest).sum()


def test_independent_columns_are_rounded_to_nearest():
    rows, scale, _ = draw(1)
    assert (round_int4(rows, scale, np.eye(32)[None]) == np.clip(np.rint(rows / scale), -8, 7)).all()


def test_dead_columns_are_no_trouble():
    rows, scale, _ = draw(2)
    assert round_int4(rows, scale, np.zeros((1, 32, 32))).shape == rows.shape


def test_clipping_an_outlier_lowers_the_error():
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(4, 601)).astype(np.float32)
    weight[:, 0] = 6
    params = choose_int4(weight, channel=0, inputs=1)
    assert params.block == 0
    assert params.axis == 0
    assert (params.scale < 6 / 7).all()
    fitting = type(params)(np.float32([6 / 7] * 4), np.zeros(4, np.int32), "int4", 0)

    def error(chosen):
        return np.square(weight - chosen.dequantize(chosen.quantize(weight))).sum()

    assert error(params) < 0.7 * error(fitting)


def test_what_matters_more_is_held_better():
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(8, 61)).astype(np.float32)
    weight[:, 0] = 4
    importance = np.ones((1, 61), np.float32)
    importance[0, 0] = 1000
    plain, weighted = (choose_int4(weight, channel=0, inputs=1, importance=given) for given in (None, importance))
    errors = [np.abs(weight - chosen.dequantize(chosen.quantize(weight)))[:, 0].sum() for chosen in (plain, weighted)]
    assert errors[1] < errors[0]


def test_blocks_where_the_inputs_divide():
    for depth, block in ((128, 64), (96, 32), (48, 16), (50, 0)):
        assert choose_int4(np.ones((2, depth), np.float32), channel=0, inputs=1).block == block
    kernel = choose_int4(np.ones((2, 64, 3, 3), np.float32), channel=0, inputs=1)
    assert kernel.scale.shape == (2, 1, 3, 3)
