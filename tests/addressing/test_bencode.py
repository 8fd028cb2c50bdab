"""Bencode: one text for a value, and one value for a text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addressing.bencode import DEEPEST, MOST_VALUES, Value, decode, encode
from edgekit.errors import MalformedError

LIMIT = 2**20
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.integers(-(2**63) + 1, 2**63 - 1) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_it_is_read_back_as_written(value: Value) -> None:
    assert decode(encode(value), where="it", limit_bytes=LIMIT) == value


@given(st.binary(max_size=40) | st.text("0123456789:-dile", max_size=40).map(str.encode))
def test_a_text_that_is_read_is_the_one_text_of_its_value(data: bytes) -> None:
    try:
        value = decode(data, where="it", limit_bytes=LIMIT)
    except MalformedError:
        return
    assert encode(value) == data


@given(VALUES, st.data())
def test_a_flipped_bit_gives_another_value_or_none(value: Value, data: st.DataObject) -> None:
    text = bytearray(encode(value))
    at = data.draw(st.integers(0, len(text) * 8 - 1))
    text[at // 8] ^= 1 << at % 8
    with contextlib.suppress(MalformedError):
        assert decode(bytes(text), where="it", limit_bytes=LIMIT) != value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"i",
        b"ie",
        b"i-0e",
        b"i01e",
        b"i+1e",
        b"i1",
        b"i 1e",
        b"i9223372036854775808e",
        b"i1ei2e",
        b"01:a",
        b"2:a",
        b"-1:a",
        b"1a",
        b"99999999999999:a",
        b"l",
        b"li1e",
        b"d",
        b"d1:a",
        b"di1ei2ee",
        b"d1:bi1e1:ai2ee",
        b"d1:ai1e1:ai2ee",
        b"e",
        b"5:hello ",
        "i٣e".encode(),
    ],
)
def test_what_is_not_canonical_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError, match="bencode"):
        decode(text, where="it", limit_bytes=LIMIT)


@pytest.mark.parametrize("text", [b"l" * 10**6, b"d1:a" * 10**5, b"l" * (DEEPEST + 1) + b"e" * (DEEPEST + 1)])
def test_depth_is_bounded(text: bytes) -> None:
    with pytest.raises(MalformedError, match="deeper"):
        decode(text, where="it", limit_bytes=2**21)


def test_values_and_bytes_are_bounded() -> None:
    decode(b"l" + b"le" * (MOST_VALUES - 1) + b"e", where="it", limit_bytes=LIMIT)
    with pytest.raises(MalformedError, match="values"):
        decode(b"l" + b"le" * MOST_VALUES + b"e", where="it", limit_bytes=LIMIT)
    with pytest.raises(MalformedError, match="at most 4"):
        decode(b"3:abc", where="it", limit_bytes=4)
