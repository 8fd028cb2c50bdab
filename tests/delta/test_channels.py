"""Channels that a pruned net has kept are told from its weights, in every layout, and nothing is told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.delta.channels import match_channels
from edgekit.delta.spans import Pair
from edgekit.delta.weights import Weights
from edgekit.types.qparams import Array

RANDOM = np.random.default_rng(0)
KEPT = np.sort(RANDOM.permutation(40)[:25])


class Files:
    """Two files of nothing but weights, which grow."""

    def __init__(self) -> None:
        self.old, self.new = b"", b""
        self.pairs: list[Pair] = []

    def add(self, old: Array, new: Array) -> None:
        """Weights of (outer, rows, inner) before and after."""
        moved = np.clip(new + RANDOM.integers(-2, 3, new.shape), -127, 127)
        self.pairs.append(Pair(Weights(len(self.old), old.shape), Weights(len(self.new), new.shape)))
        self.old += old.astype(np.int8).tobytes()
        self.new += moved.astype(np.int8).tobytes()

    def match(self) -> list[Pair]:
        return match_channels(self.pairs, self.old, self.new)


def weights(*shape: int) -> Array:
    return RANDOM.integers(-100, 101, shape)


def lists(pair: Pair) -> tuple[list[int] | None, list[int] | None]:
    rows, columns = (None if chosen is None else chosen.tolist() for chosen in (pair.rows, pair.columns))
    return rows, columns


def test_rows_and_the_columns_that_follow_them() -> None:
    files = Files()
    pointwise, before, behind = weights(1, 40, 30), weights(1, 40, 9), weights(1, 12, 40)
    files.add(pointwise, pointwise[:, KEPT])
    files.add(before, before[:, KEPT])
    files.add(behind, behind[:, :, KEPT])
    assert [lists(pair) for pair in files.match()] == [
        (KEPT.tolist(), None),
        (KEPT.tolist(), None),
        (None, KEPT.tolist()),
    ]


@pytest.mark.parametrize("layout", ["taps innermost", "taps before channels"])
def test_channels_of_a_kernel_of_nine_taps(layout: str) -> None:
    files = Files()
    first, second = weights(1, 40, 30), weights(1, 12, 40, 9)
    cut = second[:, :, KEPT]
    if layout == "taps before channels":
        second, cut = second.swapaxes(2, 3), cut.swapaxes(2, 3)
    files.add(first, first[:, KEPT])
    files.add(second.reshape(1, 12, 360), cut.reshape(1, 12, 225))
    _, pair = files.match()
    assert pair.rows is None
    assert pair.columns is not None
    chosen = second.reshape(12, 360)[:, pair.columns]
    assert (chosen == cut.reshape(12, 225)).all()


def test_both_are_cut_and_one_is_known_from_elsewhere() -> None:
    files = Files()
    first, second = weights(1, 40, 30), weights(1, 50, 40)
    others = np.sort(RANDOM.permutation(50)[:31])
    files.add(second, second[:, others][:, :, KEPT])
    files.add(first, first[:, KEPT])
    assert lists(files.match()[0]) == (others.tolist(), KEPT.tolist())


def test_a_channel_of_zeros_disturbs_no_other() -> None:
    files = Files()
    first = weights(1, 40, 30)
    first[:, KEPT[7]] = 0
    files.add(first, first[:, KEPT])
    (pair,) = files.match()
    assert pair.rows is not None
    assert (np.delete(pair.rows, 7) == np.delete(KEPT, 7)).all()


def test_nothing_is_told_from_noise() -> None:
    files = Files()
    files.add(weights(1, 40, 30), weights(1, 25, 30))
    files.add(weights(1, 40, 30), weights(1, 25, 21))
    files.add(weights(1, 40, 30), weights(1, 50, 30))
    same = weights(1, 9, 9)
    files.add(same, same)
    (pair,) = files.match()
    assert pair.old.shape == (1, 9, 9)
