"""CIDs: text and bytes of one block's name, and nothing that means the same in another way."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addressing.cid import CID_BYTES, DAG_PB, RAW, Cid, parse_cid, raw_cid, read_cid
from edgekit.errors import MalformedError

CIDS = st.builds(Cid, st.sampled_from((RAW, DAG_PB)), st.binary(min_size=32, max_size=32))
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
"""What everybody calls no bytes at all."""


@given(CIDS)
def test_it_is_read_back_from_text_and_bytes(cid: Cid) -> None:
    assert parse_cid(str(cid)) == read_cid(bytes(cid)) == cid
    assert len(bytes(cid)) == CID_BYTES


def test_a_well_known_one() -> None:
    assert parse_cid(EMPTY).codec == RAW
    assert raw_cid(parse_cid(EMPTY).sha256.hex()) == EMPTY


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY.upper(),
        EMPTY[:-1],
        EMPTY + "a",
        EMPTY + "=",
        EMPTY[1:],
        "z" + EMPTY[1:],
        "Qm" + "a" * 44,
        "b" + "1" * 58,
        "b" + "a" * 58,
        EMPTY + "\n",
        "é" * 59,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="CID"):
        parse_cid(text)


def test_bits_behind_the_end_are_refused() -> None:
    """58 letters hold 290 bits, a CID has 288: a lenient decoder would read four texts as one CID."""
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    last = letters.index(EMPTY[-1])
    for number in range(1, 4):
        other = EMPTY[:-1] + letters[last + number]
        assert base64.b32decode(other[1:].upper() + "=" * 6) == bytes(parse_cid(EMPTY))
        with pytest.raises(MalformedError):
            parse_cid(other)


@pytest.mark.parametrize(("at", "value"), [(0, 0), (0, 2), (1, 0x71), (1, 0x56), (2, 0x11), (2, 0x1B), (3, 31)])
def test_other_kinds_are_refused(at: int, value: int) -> None:
    data = bytearray(bytes(parse_cid(EMPTY)))
    data[at] = value
    text = "b" + base64.b32encode(data).decode().rstrip("=").lower()
    for read in (lambda: read_cid(bytes(data)), lambda: parse_cid(text)):
        with pytest.raises(MalformedError):
            read()


@given(st.binary(max_size=80))
def test_no_bytes_are_read_as_another_cid(data: bytes) -> None:
    try:
        assert bytes(read_cid(data)) == data
    except MalformedError:
        assert len(data) != CID_BYTES or data[:1] != b"\x01" or data[1] not in (RAW, DAG_PB) or data[2:4] != b"\x12\x20"
