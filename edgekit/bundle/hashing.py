"""Hashes a blob while it streams by: the whole, and each of its pieces where it has some."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from edgekit.bundle.blobs import unreadable
from edgekit.errors import DigestError
from edgekit.types.blob import Blob, Pieces

CHUNK_BYTES = 2**20


def _ignore(_: object) -> None:
    """Nobody wants it."""


def check_stream(
    stream: BinaryIO,
    blob: Blob,
    *,
    what: str,
    write: Callable[[memoryview], object] = _ignore,
    advance: Callable[[int], object] = _ignore,
) -> None:
    """Read a stream to its end, and hold it against a blob's digests; a wrong piece ends it at once.

    Args:
        stream: The bytes.
        blob: What they should be; its pieces are powers of two of 1 MiB and more.
        what: What it is, for messages.
        write: Gets each chunk before it is known to be right.
        advance: Told how many bytes each chunk had.

    Raises:
        DigestError: They are others, fewer or more.
        InputError: They cannot be read; what `write` raises comes through.
    """
    whole, count = hashlib.sha256(), 0
    pieces = _PieceCheck(blob.pieces, what) if blob.pieces else None
    with memoryview(bytearray(CHUNK_BYTES)) as buffer:
        while got := _fill(buffer, stream, what):
            chunk = buffer[:got]
            count += got
            if count > blob.size_bytes:
                raise DigestError(f"{what} has more than the {blob.size_bytes} bytes that it should have")
            whole.update(chunk)
            if pieces:
                pieces.update(chunk)
            write(chunk)
            advance(got)
    if count != blob.size_bytes:
        raise DigestError(f"{what} has {count} bytes instead of {blob.size_bytes}")
    if pieces:
        pieces.finish()
    if whole.hexdigest() != blob.sha256:
        raise DigestError(f"{what} holds other bytes: their sha256 is {whole.hexdigest()}, not {blob.sha256}")


def _fill(buffer: memoryview, stream: BinaryIO, what: str) -> int:
    try:
        count: int = stream.readinto(buffer)  # type: ignore[attr-defined]  # BinaryIO lacks it, binary files have it
    except OSError as error:
        raise unreadable(what, error) from error
    return count


class _PieceCheck:
    """Digests of consecutive pieces, whatever the chunks that they come in."""

    def __init__(self, pieces: Pieces, what: str) -> None:
        self._pieces = pieces
        self._what = what
        self._number = 0
        self._begin()

    def update(self, chunk: memoryview) -> None:
        while chunk:
            part = chunk[: self._left]
            self._hashed.update(part)
            self._left -= len(part)
            chunk = chunk[len(part) :]
            if not self._left:
                self._end()

    def finish(self) -> None:
        """The last piece, which may be shorter."""
        if self._left < self._pieces.length_bytes:
            self._end()

    def _begin(self) -> None:
        self._hashed, self._left = hashlib.sha256(), self._pieces.length_bytes

    def _end(self) -> None:
        if self._hashed.hexdigest() != self._pieces.sha256[self._number]:
            raise DigestError(f"piece {self._number} of {self._what} holds other bytes than manifest.json says")
        self._number += 1
        self._begin()
