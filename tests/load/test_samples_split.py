"""Laws of the split into calibration and held-back samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.load.samples import split
from edgekit.types.sample_set import SampleSet


def numbered(count: int, classes: np.ndarray | None = None) -> SampleSet:
    return SampleSet(np.arange(count), lambda i: {"x": np.array([i])}, "numbers", classes=classes)


def indices(samples: SampleSet) -> list[int]:
    return [int(sample["x"][0]) for sample in samples]


@given(st.integers(5, 3000), st.floats(0.01, 0.5))
@settings(max_examples=40, deadline=None)
def test_the_parts_are_disjoint_complete_and_of_the_asked_size(count: int, share: float) -> None:
    calibration, held = split(numbered(count, np.arange(count)), held_back=share)
    assert sorted(indices(calibration) + indices(held)) == list(range(count))
    assert abs(held.count - count * share) <= 1
    assert held.count >= 1
    assert list(held.labels()) == indices(held)
    gaps = np.diff([-1, *indices(held), count])
    assert gaps.max() <= 2 * count / held.count + 1  # covers the whole set: no hole beyond two blocks


@pytest.mark.parametrize("period", [2, 5, 10])
def test_a_set_periodic_by_class_keeps_its_classes_in_both_parts(period: int) -> None:
    classes = np.arange(200) % period
    calibration, held = split(numbered(200, classes), held_back=0.1)
    assert set(calibration.labels()) == set(range(period))
    assert len(set(held.labels())) >= period * 0.6


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_tiny_set_is_used_twice_and_says_so(count: int) -> None:
    calibration, held = split(numbered(count))
    assert indices(calibration) == indices(held) == list(range(count))
    assert [finding.code for finding in held.findings] == ["held-back-overlaps"]
    assert not split(numbered(5))[1].findings


def test_a_share_that_leaves_nothing_is_refused() -> None:
    for share in (0.0, 0.6, -1.0, float("nan")):
        with pytest.raises(RecipeError, match="held-back share"):
            split(numbered(10), held_back=share)
