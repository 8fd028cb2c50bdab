import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.shrink.quantization.histogram import HALF, Histogram


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


def test_spread_is_exact_over_batches_and_only_kept_when_asked_for():
    rng = np.random.default_rng(3)
    batches = rng.normal(size=(4, 1, 3, 5, 5)).astype(np.float32)
    histogram = Histogram(channel_axis=1, spread=True)
    for batch in batches:
        histogram.update(batch)
    np.testing.assert_array_equal(histogram.spread.low, batches.min(axis=(0, 1, 3, 4)))
    np.testing.assert_array_equal(histogram.spread.high, batches.max(axis=(0, 1, 3, 4)))
    np.testing.assert_array_equal(histogram.spread.peak, np.abs(batches).max(axis=(0, 1, 3, 4)))
    np.testing.assert_allclose(histogram.spread.power, (batches**2).mean(axis=(0, 1, 3, 4)), rtol=1e-5)
    assert filled(*batches, channel_axis=1).spread is None
