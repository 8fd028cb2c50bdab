import pytest

from edgekit.check.accuracy import PairedCounter


def count(rows):
    counter = PairedCounter()
    for exact, measured, label in rows:
        counter.add(exact=exact, measured=measured, label=label)
    return counter.result()


def test_each_cell_of_the_table():
    accuracy = count([(1, 1, 1), (1, 2, 1), (1, 2, 1), (3, 1, 1), (3, 4, 1)])
    assert (accuracy.samples, accuracy.lost, accuracy.won) == (5, 2, 1)
    assert (accuracy.baseline, accuracy.accuracy) == (3 / 5, 2 / 5)
    assert accuracy.difference.estimate == pytest.approx(-1 / 5)


def test_losses_without_wins_are_seen_and_balance_is_not():
    worse = count([(1, 1, 1)] * 180 + [(1, 2, 1)] * 20)
    even = count([(1, 1, 1)] * 180 + [(1, 2, 1)] * 10 + [(2, 1, 1)] * 10)
    assert worse.difference.high < 0
    assert even.difference.low < 0 < even.difference.high


def test_no_sample_no_accuracy():
    assert count([]) is None
