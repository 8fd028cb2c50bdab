"""Scores follow from the logits alone."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.nets.catalogue import NETS
from benchmarks.nets.data import Array
from benchmarks.peers.scoring import FLOAT, run_through, spread, sqnr


def _samples() -> list[tuple[Array, int]]:
    return [(np.array([index], np.float64), index % 2) for index in range(4)]


def _logits(sample: Array) -> Array:
    """Class 0 for even, class 1 for odd: always right."""
    return np.array([1.0, -1.0] if sample[0] % 2 == 0 else [-1.0, 1.0])


def test_the_float_file_agrees_with_itself() -> None:
    found = run_through(_samples(), {FLOAT: _logits})[FLOAT]
    assert (found.samples, found.top1, found.agreement, found.sqnr_db) == (4, 1.0, 1.0, math.inf)


def test_a_file_that_always_says_the_same_is_half_right() -> None:
    found = run_through(_samples(), {FLOAT: _logits, "stuck": lambda sample: np.array([1.0, -1.0])})["stuck"]
    assert (found.top1, found.agreement) == (0.5, 0.5)
    assert found.sqnr_db == pytest.approx(10 * math.log10(8 / 16))


def test_a_tenth_of_noise_is_twenty_decibels() -> None:
    found = run_through(_samples(), {FLOAT: _logits, "noisy": lambda sample: 1.1 * _logits(sample)})["noisy"]
    assert found.sqnr_db == pytest.approx(20.0)
    assert found.agreement == 1.0


def test_no_noise_is_infinite() -> None:
    assert sqnr(1.0, 0.0) == math.inf


@pytest.mark.parametrize("count", [1, 3, 7, 10])
def test_spread_takes_exactly_so_many_over_the_whole(count: int) -> None:
    def ten() -> Iterator[tuple[Array, int]]:
        return ((np.zeros(1), index) for index in range(10))

    chosen = [index for _, index in spread(replace(NETS["keywords"], scoring=ten, scoring_samples=10), count)]
    assert len(chosen) == count
    assert chosen[-1] == 9
    assert all(b - a <= math.ceil(10 / count) for a, b in itertools.pairwise(chosen))
