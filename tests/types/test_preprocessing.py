"""Preprocessing goes into metadata and comes back the same, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.types.preprocessing import COLORS, INTERPOLATIONS, LAYOUTS, Preprocessing

sides = st.integers(1, 1000)
finite = st.floats(-1e3, 1e3)


@given(st.tuples(sides, sides), st.none() | st.integers(1000, 2000), finite, st.floats(0.1, 300), st.data())
@settings(max_examples=40, deadline=None)
def test_round_trip(size: tuple[int, int], resize: int | None, mean: float, std: float, data: st.DataObject) -> None:
    color = data.draw(st.sampled_from(sorted(COLORS)))
    first = Preprocessing(
        size,
        resize,
        (mean,) * COLORS[color],
        (std,),
        data.draw(st.sampled_from(LAYOUTS)),
        color,
        data.draw(st.sampled_from(INTERPOLATIONS)),
    )
    assert Preprocessing.from_dict(json.loads(json.dumps(first.to_dict()))) == first


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "needs a size"),
        ({"size": [8, 8], "means": [1]}, "unknown preprocessing field"),
        ({"size": [8, 8, 8]}, "size must be"),
        ({"size": [8.5, 8]}, "whole number"),
        ({"size": [10**9, 8]}, "size must be"),
        ({"size": 8, "mean": "0.5"}, "must be a number"),
        ({"size": 8, "mean": [True]}, "must be a number"),
        ({"size": 8, "mean": [1, 2]}, "needs 1 or 3 values"),
        ({"size": 8, "mean": [float("nan")]}, "finite"),
        ({"size": 8, "std": [-1]}, "positive"),
        ({"size": 8, "layout": "HWC"}, "layout must be"),
        ({"size": 8, "color": 3}, "must be text"),
        ({"size": 8, "interpolation": "nearest"}, "interpolation must be"),
    ],
)
def test_strict(values: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Preprocessing.from_dict(values)
