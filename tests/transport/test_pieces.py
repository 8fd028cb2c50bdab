"""Pieces lie end to end, or are refused."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError
from edgekit.transport.pieces import pieces_of
from edgekit.types.blob import MOST_PIECES, Blob, Pieces, piece_length
from tests.transport.blobs import MIB, noise

HEX = "ab" * 32


@given(st.integers(1, 2**34))
def test_pieces_lie_end_to_end(size_bytes: int) -> None:
    length = piece_length(size_bytes)
    count = -(-size_bytes // length)
    pieces = pieces_of(Blob(HEX, size_bytes, Pieces(length, (HEX,) * count)))
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == size_bytes
    assert len(pieces) <= MOST_PIECES


def test_a_blob_without_pieces_is_one() -> None:
    blob = noise(5000).blob
    (piece,) = pieces_of(blob)
    assert (piece.start, piece.stop, piece.sha256) == (0, 5000, blob.sha256)


@pytest.mark.parametrize(
    "pieces",
    [
        Pieces(MIB, (HEX,)),
        Pieces(MIB, (HEX,) * 3),
        Pieces(MIB, ()),
        Pieces(MIB // 2, (HEX,) * 4),
        Pieces(3 * MIB, (HEX,)),
        Pieces(0, (HEX, HEX)),
        Pieces(-MIB, (HEX, HEX)),
        Pieces(MIB, (HEX, HEX.upper())),
        Pieces(MIB, (HEX, "../x")),
    ],
)
def test_pieces_that_do_not_make_up_the_blob_are_refused(pieces: Pieces) -> None:
    with pytest.raises(MalformedError):
        pieces_of(Blob(HEX, 2 * MIB, pieces))


def test_more_pieces_than_allowed_are_refused() -> None:
    with pytest.raises(MalformedError):
        pieces_of(Blob(HEX, 65 * MIB, Pieces(MIB, (HEX,) * 65)))


def test_a_digest_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedError):
        pieces_of(replace(noise(10).blob, sha256="../../etc"))


def test_digests_are_those_of_the_bytes() -> None:
    made = noise(2 * MIB + 1)
    assert [piece.sha256 for piece in pieces_of(made.blob)] == [
        sha256(made.data[start : start + MIB]).hexdigest() for start in (0, MIB, 2 * MIB)
    ]
