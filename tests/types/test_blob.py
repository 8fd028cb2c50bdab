"""Blobs: addresses are looked at, pieces are few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError
from edgekit.types.blob import (
    LARGEST_BYTES,
    MOST_PIECES,
    SMALLEST_PIECE_BYTES,
    Blob,
    Descriptor,
    check_sha256,
    check_size,
    piece_length,
)

HEX = "ab" * 32


@given(st.integers(0, LARGEST_BYTES))
def test_pieces_are_few_and_no_longer_than_they_must_be(size_bytes: int) -> None:
    length = piece_length(size_bytes)
    assert length * MOST_PIECES >= size_bytes
    assert length == SMALLEST_PIECE_BYTES or length * MOST_PIECES < 2 * size_bytes
    assert length.bit_count() == 1


def test_a_descriptor_names_its_blob() -> None:
    described = Descriptor("application/octet-stream", HEX, 7)
    assert described.digest == f"sha256:{HEX}"
    assert described.blob == Blob(HEX, 7)
    assert described.blob.file_name == f"blobs/sha256/{HEX}"


@pytest.mark.parametrize("text", ["", HEX[:-1], HEX + "a", HEX.upper(), "../" + HEX[3:], HEX[:-1] + "\n"])
def test_what_is_no_sha256_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="layer 3 is no sha256"):
        check_sha256(text, where="layer 3")
    assert check_sha256(HEX, where="layer 3") == HEX


@pytest.mark.parametrize("size_bytes", [-1, LARGEST_BYTES + 1])
def test_an_impossible_size_is_refused(size_bytes: int) -> None:
    with pytest.raises(MalformedError, match="layer 3 is no size"):
        check_size(size_bytes, where="layer 3")
    assert check_size(LARGEST_BYTES, where="layer 3") == LARGEST_BYTES
