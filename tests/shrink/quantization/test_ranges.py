import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.ranges import METHODS, choose_range, entropy_range, mse_range, percentile_range
from edgekit.types.qparams import choose_activation
from edgekit.types.recipe import RANGES


def filled(*batches):
    histogram = Histogram()
    for batch in batches:
        histogram.update(np.asarray(batch, np.float32))
    return histogram


def spiky(seed, count=4000, spike=60.0):
    values = np.random.default_rng(seed).normal(size=count).astype(np.float32)
    values[0] = spike
    return values


def quantization_error(values, ends):
    params = choose_activation(*ends)
    return float(((params.dequantize(params.quantize(values)) - values) ** 2).mean())


def test_every_method_a_recipe_may_name_is_there():
    assert set(RANGES) <= set(METHODS)


@pytest.mark.parametrize("method", METHODS)
@given(values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60))
def test_a_range_stays_within_what_was_seen(method, values):
    low, high = choose_range(filled(values), method)
    assert np.float32(min(values)) <= low <= high <= np.float32(max(values))


@pytest.mark.parametrize("method", METHODS)
def test_a_one_sided_tensor_stays_one_sided(method):
    low, high = choose_range(filled(np.abs(spiky(0))), method)
    assert 0 <= low < 0.01
    assert high > 2


def test_percentile_cuts_an_outlier_and_keeps_the_rest():
    values = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    values[17] = 1000.0
    low, high = percentile_range(filled(values), 0.999)
    assert high < 3
    assert low == pytest.approx(-1, abs=1.1)  # one bin is 1000 / 1023 wide here


def test_mse_range_shrinks_for_outliers_and_not_for_a_uniform_tensor():
    uniform = np.random.default_rng(2).uniform(0, 1, 4000).astype(np.float32)
    assert mse_range(filled(uniform), levels=15)[1] > 0.9
    assert mse_range(filled(spiky(2)), levels=15)[1] < 40.0


def long_tails(seed):
    """200 000 values of Student's t: a range that holds the largest has steps far too wide for the others."""
    return np.random.default_rng(seed).standard_t(3, size=(50, 4000)).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_mse_range_has_a_smaller_error_than_min_max_on_long_tails(seed):
    values = long_tails(seed)
    histogram = filled(*values)
    minmax = quantization_error(values, (histogram.low, histogram.high))
    assert quantization_error(values, mse_range(histogram)) < 0.7 * minmax


def test_mse_range_cuts_the_long_tail_alone():
    values = long_tails(3)
    histogram = filled(*np.where(values > 0, values, np.maximum(values, -5)))
    low, high = mse_range(histogram)
    assert low == pytest.approx(-5.0, abs=0.3)
    assert high < 0.9 * histogram.high


def test_entropy_range_cuts_rare_outliers_and_keeps_a_uniform_tensor():
    rng = np.random.default_rng(4)
    uniform = rng.uniform(-1, 1, 4000)
    assert entropy_range(filled(uniform))[1] > 0.95
    assert entropy_range(filled(np.concatenate([rng.normal(size=3999), [40.0]])))[1] < 20


def test_entropy_range_of_a_constant_tensor_is_its_min_and_max():
    assert entropy_range(filled(np.zeros(5))) == (0.0, 0.0)


def test_entropy_range_is_not_drawn_in_by_the_zeros_of_a_relu():
    values = np.maximum(np.random.default_rng(5).normal(size=(20, 4000)), 0)
    assert entropy_range(filled(*values))[1] > 0.7 * values.max()


@given(st.floats(-5, 5), st.floats(0, 1e-3), st.sampled_from(sorted(METHODS)))
def test_a_narrow_band_away_from_zero_still_has_a_range(center, spread, method):
    seen = Histogram()
    seen.update(np.float32([center, center + spread, center - spread]))
    low, high = choose_range(seen, method)
    assert low <= high
