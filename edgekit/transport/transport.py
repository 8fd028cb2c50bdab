"""Transport: a tree of files at a URL, to read from and perhaps to write to; nothing it gives is trusted.

A bundle or a channel is such a tree: `blobs/sha256/<hex>`, `metadata/timestamp.json`, `targets/...`. A transport moves
bytes and names; what they mean, and whether they are the right ones, is judged by whoever asked (`fetch`, `channel`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Transport(Protocol):
    """One source or destination. May be used from several threads at once.

    Attributes:
        url: As the user wrote it, without secrets.
    """

    url: str

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of a file as they come, in pieces of any size.

        Leaving the block ends the transfer. Whoever reads stops when more comes than was asked for: a source may send
        without an end.

        Args:
            name: Path below the URL, segments separated by "/".
            start: First byte.
            stop: One past the last byte; None reads to the end.

        Raises:
            AbsentError: There is no such file.
            TransferError: The source refuses, or the connection breaks.
            StalledError: Nothing came for too long.
        """
        ...

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        """Put a file there, whole or not at all; one of that name is replaced.

        Args:
            name: As for `read`.
            chunks: The bytes.
            size_bytes: How many there are.

        Raises:
            TransferError: The destination refuses, or cannot be written to at all.
        """
        ...

    def close(self) -> None:
        """Let go of connections; never raises."""
        ...
