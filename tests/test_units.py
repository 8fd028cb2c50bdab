from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import digest, units


@pytest.mark.parametrize("module", [units, digest], ids=lambda module: module.__name__)
def test_documented_examples_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


@given(st.integers(0, 10**15))
def test_a_size_keeps_its_magnitude(size_bytes: int) -> None:
    number, unit = units.size(size_bytes).split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * factor == pytest.approx(size_bytes, rel=0.051, abs=0.5)
    assert float(number) < 1000 or unit == "TB"
