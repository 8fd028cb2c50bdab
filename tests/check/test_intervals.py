import numpy as np
import pytest

from edgekit.check.intervals import bootstrap_median, newcombe_paired, wilson


def test_wilson_matches_the_published_value():
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I: 81 of 263, method 3.
    interval = wilson(81, 263)
    assert (interval.low, interval.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (0, 40), (40, 40), (39, 40)])
def test_wilson_holds_its_estimate_and_stays_a_share(successes, count):
    interval = wilson(successes, count)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.low < interval.high


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Newcombe (1998), paired, table II, method 10; negative correlation
        ((20, 12, 2, 16), 0.05616, 0.32921),  # R package contingencytables 3.1.0; positive, corrected correlation
    ],
)
def test_newcombe_matches_published_values(cells, low, high):
    interval = newcombe_paired(*cells)
    assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_newcombe_is_antisymmetric():
    there, back = newcombe_paired(30, 7, 3, 10), newcombe_paired(30, 3, 7, 10)
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


def test_newcombe_covers_the_true_difference():
    random = np.random.default_rng(7)
    cells = [0.70, 0.08, 0.04, 0.18]
    counts = random.multinomial(200, cells, size=2000)
    hits = [i.low <= 0.04 <= i.high for i in (newcombe_paired(*map(int, row)) for row in counts)]
    # Nominal 0.95; three standard errors of 2000 trials are 0.015.
    assert 0.935 <= np.mean(hits) <= 0.985


def test_pairing_narrows_the_interval():
    # The same marginal shares, once with the models failing together and once independently of each other.
    together, apart = newcombe_paired(90, 2, 2, 6), newcombe_paired(85, 7, 7, 1)
    assert together.high - together.low < 0.7 * (apart.high - apart.low)


def test_bootstrap_covers_the_true_median():
    random = np.random.default_rng(3)
    intervals = [bootstrap_median(random.lognormal(0.0, 0.3, 41), seed=trial) for trial in range(300)]
    hits = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    # The percentile bootstrap of a median is a little short of nominal at n = 41.
    assert 0.89 <= hits <= 0.99


def test_bootstrap_repeats_itself():
    values = np.random.default_rng(0).normal(size=30)
    assert bootstrap_median(values) == bootstrap_median(values)
