"""int4 and blocks; what the other QParams do is tested where they are used."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.types.qparams import QParams, same


def blocked(seed, *, outputs, blocks, block):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.01, 2.0, (outputs, blocks)).astype(np.float32)
    return rng, QParams(scale, np.zeros(scale.shape, np.int32), "int4", 1, block)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.sampled_from((2, 16)))
def test_the_error_within_range_is_half_a_step_of_its_block(seed, outputs, blocks, block):
    rng, params = blocked(seed, outputs=outputs, blocks=blocks, block=block)
    steps = np.repeat(params.scale, block, axis=1)
    reals = (rng.uniform(-8, 7, steps.shape) * steps).astype(np.float32)
    integers = params.quantize(reals)
    assert integers.dtype == np.int8
    assert integers.min() >= -8
    assert integers.max() <= 7
    assert (np.abs(params.dequantize(integers) - reals) <= steps * 0.5001).all()


def test_beyond_the_range_it_saturates_at_four_bits():
    params = QParams(np.float32([1.0]), np.int32([0]), "int4", 0)
    assert params.quantize(np.float32([[-100, 100]])).tolist() == [[-8, 7]]


def test_blocks_along_an_inner_axis():
    scale = np.float32([1.0, 10.0]).reshape(1, 2, 1)
    params = QParams(scale, np.zeros(scale.shape, np.int32), "int4", 1, 2)
    assert params.dequantize(np.ones((1, 4, 1), np.int8)).reshape(-1).tolist() == [1, 1, 10, 10]


def test_other_blocks_are_other_params():
    scale, zero = np.ones((2, 2), np.float32), np.zeros((2, 2), np.int32)
    assert same(QParams(scale, zero, "int4", 1, 2), QParams(scale, zero, "int4", 1, 2))
    assert not same(QParams(scale, zero, "int4", 1, 2), QParams(scale, zero, "int4", 1, 4))


@pytest.mark.parametrize(("axis", "block"), [(1, 0), (None, 2), (1, -1)])
def test_scales_of_several_axes_need_blocks(axis, block):
    with pytest.raises(ValueError, match="shape mismatch"):
        QParams(np.ones((2, 2)), np.zeros((2, 2), np.int32), "int4", axis, block)
