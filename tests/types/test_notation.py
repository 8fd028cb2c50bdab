from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.load.presets import parse_preprocessing
from edgekit.types.notation import DTYPES, read_input, write_preprocessing
from edgekit.types.preprocessing import COLORS, INTERPOLATIONS, LAYOUTS, Preprocessing
from edgekit.types.spec import TensorSpec


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    shape = draw(st.lists(st.integers(1, 4096), max_size=5))
    batch = draw(st.none() | st.sampled_from(range(len(shape)))) if shape else None
    if batch is not None:
        shape[batch] = 1
    name = draw(st.from_regex(r"[A-Za-z_][\w./]*(::[\w]+)?", fullmatch=True))
    return TensorSpec(name, tuple(shape), draw(st.sampled_from(DTYPES)), batch)


@given(specs())
def test_law_input_round_trip(spec: TensorSpec) -> None:
    assert read_input(str(spec)) == spec


def test_float32_is_the_default_dtype() -> None:
    assert read_input(" x:1x3x224x224 ") == TensorSpec("x", (1, 3, 224, 224))


@pytest.mark.parametrize("text", ["", "x", "x:", "x:1x", "x:1,3", ":1x3", "x:0x3", "x:NxN", "x:-1x3", "x:1x3:"])
def test_what_is_no_input_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="input"):
        read_input(text)


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(RecipeError, match=r"the dtype of input 'x' must be one of .* found 'float'"):
        read_input("x:1x3:float")


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    color = draw(st.sampled_from(list(COLORS)))
    size = (draw(st.integers(1, 512)), draw(st.integers(1, 512)))
    number = st.floats(-300, 300, allow_nan=False)
    positive = st.floats(1e-3, 300)
    per_channel = draw(st.sampled_from([1, COLORS[color]]))
    return Preprocessing(
        size,
        draw(st.none() | st.integers(max(size), 1024)),
        tuple(draw(number) for _ in range(per_channel)),
        tuple(draw(positive) for _ in range(per_channel)),
        draw(st.sampled_from(LAYOUTS)),
        color,
        draw(st.sampled_from(INTERPOLATIONS)),
    )


@given(preprocessings())
def test_law_preprocessing_round_trip(spec: Preprocessing) -> None:
    assert parse_preprocessing(write_preprocessing(spec)) == spec
