"""The measure of agreement between two float models."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ParityError
from edgekit.load.comparison import RELATIVE, compare, distance


def test_floats_are_compared_relative_to_the_largest() -> None:
    reference = np.float32([0.001, -200.0])
    assert distance(reference, reference + np.float32([0.01, 0]))[0] == pytest.approx(0.01 / 200, rel=1e-3)
    compare({"y": reference}, {"y": reference * np.float32(1 + RELATIVE / 2)}, where="a")
    with pytest.raises(ParityError, match="output 'y' of a differs"):
        compare({"y": reference}, {"y": reference * np.float32(1 + 2 * RELATIVE)}, where="a")


def test_integers_are_compared_by_the_share_of_differing_entries() -> None:
    reference = np.arange(1000)
    assert distance(reference, np.where(reference < 5, -1, reference)) == (0.005, 0.01)
    assert distance(np.array([], np.int64), np.array([], np.int64))[0] == 0


@pytest.mark.parametrize(
    "got", [np.float32([np.nan, 1]), np.float32([1, 1]), np.float32([np.inf]), np.float32([[1, 2]])]
)
def test_shapes_and_what_is_not_finite_must_match(got: np.ndarray) -> None:
    with pytest.raises(ParityError):
        compare({"y": np.float32([1, np.inf])}, {"y": got}, where="a")


def test_equal_nans_agree() -> None:
    assert distance(np.float32([np.nan, 2]), np.float32([np.nan, 2]))[0] == 0
    assert distance(np.float32([np.nan]), np.float32([np.nan]))[0] == 0
