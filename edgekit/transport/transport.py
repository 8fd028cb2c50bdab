"""Transport: a tree of files at a URL, to read from and perhaps to write to; nothing it gives is trusted.

A bundle or a channel is such a tree: `blobs/sha256/<hex>`, `metadata/timestamp.json`, `targets/...`. A transport moves
bytes and names; what they mean, and whether they are the right ones, is judged by whoever asked (`fetch`, `channel`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from edgekit.types.blob import Blob


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


@runtime_checkable
class BlobTransport(Protocol):
    """What a transport also is that finds blobs by other addresses than their sha256: a swarm, an IPFS gateway.

    It need not have any file by name: its `read` may raise AbsentError for every one.
    """

    def read_blob(
        self, blob: Blob, *, start: int, stop: int, scratch: Path | None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Some bytes of a blob as they come, in pieces of any size; whoever asked holds them against their digests.

        May be called from several threads at once, also for the same blob. Leaving the block ends the transfer.

        Args:
            blob: With its addresses where they are known.
            start: First byte.
            stop: One past the last byte, at most `blob.size_bytes`.
            scratch: Folder beside the file that is being fetched, on the same disk, which this transport may make and
                keep things in; it is removed when the blob is there, and survives a crash until then. None for a small
                blob that goes to memory.

        Raises:
            AbsentError: It does not have this blob, or no address is known by which it could be asked.
            TransferError: It refuses, or the connection breaks.
            StalledError: Nothing came for too long.
            DigestError: What came cannot be what was asked for.
        """
        ...


@runtime_checkable
class BlobHolder(Protocol):
    """What a `BlobTransport` also is that goes on with a blob, or keeps something open, between two calls."""

    def release_blob(self, blob: Blob) -> None:
        """The blob is there, or was given up: end what is under way for it.

        Nothing is written to the scratch folder any more once this returns, within seconds. Never raises.
        """
        ...
