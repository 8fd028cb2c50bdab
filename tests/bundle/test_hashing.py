"""Streams are held against the digest of the whole and of each piece."""

from __future__ import annotations

import hashlib
import io

import pytest

from edgekit.bundle.hashing import check_stream
from edgekit.errors import DigestError
from edgekit.types.blob import Blob, Pieces

LENGTH = 2**20
DATA = bytes(range(256)) * 9000
PIECES = Pieces(LENGTH, tuple(hashlib.sha256(DATA[at : at + LENGTH]).hexdigest() for at in range(0, len(DATA), LENGTH)))
BLOB = Blob(hashlib.sha256(DATA).hexdigest(), len(DATA), PIECES)


class Dribble(io.RawIOBase):
    """Gives a few bytes at a time, never as many as were asked for."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        with memoryview(buffer) as view:
            return self._inner.readinto(view[:99_991])


def check(data: bytes, blob: Blob = BLOB) -> bytes:
    kept, seen = bytearray(), 0

    def advance(count: int) -> None:
        nonlocal seen
        seen += count

    check_stream(Dribble(data), blob, what="it", write=lambda chunk: kept.extend(chunk), advance=advance)  # type: ignore[arg-type]
    assert seen == len(data)
    return bytes(kept)


def test_right_bytes_pass_through() -> None:
    assert len(PIECES.sha256) == 3
    assert check(DATA) == DATA
    assert check(DATA[:0], Blob(hashlib.sha256().hexdigest(), 0)) == b""


@pytest.mark.parametrize("at", [0, LENGTH - 1, LENGTH, 2 * LENGTH + 5, len(DATA) - 1])
def test_one_bit_anywhere(at: int) -> None:
    wrong = bytearray(DATA)
    wrong[at] ^= 1
    with pytest.raises(DigestError, match=f"piece {at // LENGTH} of it"):
        check(bytes(wrong))
    with pytest.raises(DigestError, match="holds other bytes"):
        check(bytes(wrong), Blob(BLOB.sha256, BLOB.size_bytes))


def test_fewer_and_more() -> None:
    with pytest.raises(DigestError, match=f"has {len(DATA) - 1} bytes instead of"):
        check(DATA[:-1])
    with pytest.raises(DigestError, match="more than"):
        check(DATA + b"x")


def test_a_table_of_pieces_that_is_wrong() -> None:
    wrong = Pieces(LENGTH, (*PIECES.sha256[:2], "00" * 32))
    with pytest.raises(DigestError, match="piece 2 of it"):
        check(DATA, Blob(BLOB.sha256, BLOB.size_bytes, wrong))
