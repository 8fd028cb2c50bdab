import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.shrink.quantization.histogram import HALF, Histogram, mse_range, percentile_range


def filled(*batches, channel_axis=None):
    histogram = Histogram(channel_axis=channel_axis)
    for batch in batches:
        histogram.update(np.asarray(batch, np.float32))
    return histogram


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), min_size=1, max_size=6))
def test_min_and_max_are_exact_and_no_sampled_element_is_lost(batches):
    histogram = filled(*batches)
    everything = np.concatenate([np.float32(batch) for batch in batches])
    assert histogram.low == everything.min()
    assert histogram.high == everything.max()
    assert histogram.counts.sum() == everything.size


def test_doubling_the_width_keeps_every_count_on_its_side_of_zero():
    histogram = filled([0.5, -0.25], [100.0], [-5000.0])
    assert histogram.counts[HALF:].sum() == 2
    assert histogram.counts[:HALF].sum() == 2
    assert histogram.width * HALF > 5000


def test_channel_mean_is_exact_over_batches():
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(5, 2, 3, 4, 4)).astype(np.float32)
    histogram = filled(*batches, channel_axis=1)
    np.testing.assert_allclose(histogram.channel_mean, batches.mean(axis=(0, 1, 3, 4)), rtol=1e-5, atol=1e-7)


def test_percentile_cuts_an_outlier_and_keeps_the_rest():
    values = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    values[17] = 1000.0
    low, high = percentile_range(filled(values), 0.999)
    assert high < 3
    assert low == pytest.approx(-1, abs=1.1)  # one bin is 1000 / 1023 wide here


def test_mse_range_shrinks_for_outliers_and_not_for_a_uniform_tensor():
    rng = np.random.default_rng(2)
    uniform = rng.uniform(0, 1, 4000).astype(np.float32)
    spiky = rng.normal(size=4000).astype(np.float32)
    spiky[0] = 60.0
    assert mse_range(filled(uniform), levels=15)[1] > 0.9
    assert mse_range(filled(spiky), levels=15)[1] < 40.0
