"""Laws of the one rounding at the end of every int8 operator."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime.reference.rounding import integer_bounds, reals, requantize, round_reals, saturate
from edgekit.types.qparams import RANGES, QParams, choose_activation

DTYPES = st.sampled_from(["int8", "uint8", "int16"])


@st.composite
def qparams(draw: st.DrawFn) -> QParams:
    scale = draw(st.floats(2.0**-20, 1024.0, width=32))
    dtype = draw(DTYPES)
    return QParams(np.asarray(scale), np.asarray(draw(st.integers(*RANGES[dtype]))), dtype)


def _all_integers(params: QParams) -> np.ndarray:
    bottom, top = RANGES[params.dtype]
    return np.arange(bottom, top + 1, dtype=params.dtype)


@given(qparams())
def test_every_integer_survives_a_trip_through_its_real_value(params: QParams) -> None:
    integers = _all_integers(params)
    np.testing.assert_array_equal(round_reals(reals(integers, params), params), integers)


@given(qparams())
def test_requantizing_to_the_same_scale_changes_nothing(params: QParams) -> None:
    integers = _all_integers(params)
    np.testing.assert_array_equal(requantize(integers, params, params), integers)


@given(qparams(), qparams())
def test_requantizing_twice_to_one_scale_is_requantizing_once(source: QParams, target: QParams) -> None:
    once = requantize(_all_integers(source), source, target)
    assert once.dtype == target.dtype
    np.testing.assert_array_equal(requantize(once, target, target), once)


@given(qparams(), st.integers(-(10**6), 10**6))
def test_rounding_is_that_of_exact_fractions(params: QParams, thousandths: int) -> None:
    value = Fraction(thousandths, 1000) * Fraction(float(params.scale))
    exact = round(Fraction(float(value)) / Fraction(float(params.scale))) + int(params.zero_point)
    bottom, top = RANGES[params.dtype]
    got = int(round_reals(np.array([float(value)]), params)[0])
    # float64 division may only differ from the fraction where it lands on an exact half
    assert got == min(max(exact, bottom), top) or thousandths % 500 == 0


def test_halves_round_to_even_before_the_zero_point_is_added() -> None:
    params = QParams(np.asarray(1.0), np.asarray(1))
    np.testing.assert_array_equal(saturate(np.array([-1.5, -0.5, 0.5, 1.5, 2.5]), params), [-1, 1, 1, 3, 3])


@given(qparams(), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_clamp_bounds_the_integers(params: QParams, low: float, width: float) -> None:
    clamp = (low, low + width)
    bottom, top = integer_bounds(params, clamp)
    assert RANGES[params.dtype][0] <= bottom <= top <= RANGES[params.dtype][1]
    clamped = saturate(np.linspace(-1e9, 1e9, 101), params, clamp=clamp)
    assert clamped.min() >= bottom
    assert clamped.max() <= top


def test_relu_needs_no_bound_when_the_zero_point_is_the_smallest_integer() -> None:
    assert integer_bounds(choose_activation(0.0, 6.0), (0.0, float("inf"))) == (-128, 127)


@pytest.mark.parametrize("value", [1e30, -1e30, np.inf, -np.inf])
def test_large_values_saturate(value: float) -> None:
    assert abs(int(round_reals(np.array([value]), choose_activation(-1.0, 1.0))[0])) >= 127
