"""Pieces of a blob: the spans that are fetched and held against a digest by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import MalformedError
from edgekit.types.blob import MOST_PIECES, SMALLEST_PIECE_BYTES, Blob, check_sha256


@dataclass(frozen=True)
class Piece:
    """A span of a blob.

    Attributes:
        number: From 0.
        start: Its first byte.
        stop: One past its last byte.
        sha256: Digest of the bytes between, lower-case hex.
    """

    number: int
    start: int
    stop: int
    sha256: str

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return self.stop - self.start


def pieces_of(blob: Blob) -> tuple[Piece, ...]:
    """The pieces of a blob in order; the whole where no others are known.

    Raises:
        MalformedError: Its pieces do not make up its size.

    Law: they lie end to end from 0 to `blob.size_bytes`.
    """
    where = f"blob {blob.sha256[:12]}"
    check_sha256(blob.sha256, where=where)
    if blob.pieces is None:
        return (Piece(0, 0, blob.size_bytes, blob.sha256),)
    length, digests = blob.pieces.length_bytes, blob.pieces.sha256
    if length < SMALLEST_PIECE_BYTES or length & (length - 1):
        raise MalformedError(f"{where}: {length} bytes are no length of a piece, a power of two from 1 MiB on")
    needed = -(-blob.size_bytes // length)
    if len(digests) != needed or needed > MOST_PIECES:
        raise MalformedError(
            f"{where}: {len(digests)} pieces of {length} bytes do not make up its {blob.size_bytes} bytes"
        )
    return tuple(
        Piece(number, number * length, min((number + 1) * length, blob.size_bytes), check_sha256(sha256, where=where))
        for number, sha256 in enumerate(digests)
    )
