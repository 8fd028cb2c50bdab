"""JSON from outside means one thing, or is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError
from edgekit.types.strict_json import DEEPEST, canonical, read_canonical, read_strict

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def read(data: bytes, limit_bytes: int = 10_000_000) -> object:
    return read_strict(data, where="file", limit_bytes=limit_bytes)


@given(values)
def test_canonical_texts_are_read_back(value: object) -> None:
    assert read_canonical(canonical(value), where="file", limit_bytes=10_000_000) == value


@given(st.dictionaries(texts, values, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(turned) == canonical(value)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b'{"a":1,"a":1}', "has the key 'a' twice"),
        (b'{"b":{"a":1,"\\u0061":2}}', "has the key 'a' twice"),
        (b'{"a":NaN}', "holds NaN"),
        (b'{"a":-Infinity}', "holds -Infinity"),
        (b'{"a":1e400}', "beyond the range of a double"),
        (b'{"a":9007199254740992}', "beyond 2**53 - 1"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond 2**53 - 1"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"\\udfff":0}', "lone surrogate"),
        (b'\xef\xbb\xbf{"a":1}', "BOM"),
        (b'{"a":"\xff"}', "no UTF-8 text"),
        (b'{"a":1} x', "Extra data"),
        (b"", "Expecting value"),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32"),
        (b"[" * 100_000, "nested deeper than 32"),
        (b'{"a":' * 50_000, "nested deeper than 32"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(data)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_deepest_nesting_that_is_read() -> None:
    assert read(b"[" * DEEPEST + b"]" * DEEPEST) is not None


def test_a_text_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(MalformedError, match="has 11 bytes; at most 10 are read"):
        read(b"not json at", limit_bytes=10)


@pytest.mark.parametrize("data", [b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1.0}', b'{"a":"\\u0061"}', b"[1]\n"])
def test_another_text_of_the_same_value_is_not_canonical(data: bytes) -> None:
    read(data)
    with pytest.raises(MalformedError, match="not in canonical form"):
        read_canonical(data, where="file", limit_bytes=100)


@pytest.mark.parametrize("value", [float("nan"), 2**53, 2.0**53, "\ud800", {"\udc00": 1}])
def test_what_json_cannot_say_is_not_written(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each cause has its own words, those of the library
        canonical(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = read(data)
    except MalformedError:
        return
    assert read(json.dumps(value).encode()) == value
