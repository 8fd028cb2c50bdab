"""Digests of consecutive parts of some bytes, whatever the chunks that they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

    from _typeshed import ReadableBuffer


class Parts:
    """Hashes parts of one length; the last may be shorter.

    Whole parts inside a chunk are hashed where they lie. hashlib lets go of the interpreter's lock while it hashes more
    than 2 KiB, so that several of these run beside one another.

    Args:
        length_bytes: Of every part but the last.
        new: Makes the hash of some bytes.

    Attributes:
        digests: Of the parts that are complete, in order; whoever needs no more of them may take them out.
    """

    def __init__(self, length_bytes: int, new: Callable[[ReadableBuffer], _Hash] = hashlib.sha256) -> None:
        self.digests: list[bytes] = []
        self._length = length_bytes
        self._new = new
        self._open = new(b"")
        self._filled = 0

    def update(self, chunk: ReadableBuffer) -> None:
        """Take the next bytes, any number of them."""
        view = memoryview(chunk)
        if self._filled:
            first = view[: self._length - self._filled]
            self._open.update(first)
            self._filled += len(first)
            if self._filled < self._length:
                return
            self._close()
            view = view[len(first) :]
        length, new = self._length, self._new
        whole = len(view) - len(view) % length
        self.digests += [new(view[at : at + length]).digest() for at in range(0, whole, length)]
        if whole < len(view):
            self._open = new(view[whole:])
            self._filled = len(view) - whole

    def finish(self) -> list[bytes]:
        """End the last part where it is shorter; the digests."""
        if self._filled:
            self._close()
        return self.digests

    def _close(self) -> None:
        self.digests.append(self._open.digest())
        self._filled = 0


def sha1(data: ReadableBuffer) -> _Hash:
    """SHA-1, which BitTorrent v1 asks for; nothing here trusts it."""
    return hashlib.sha1(data, usedforsecurity=False)
