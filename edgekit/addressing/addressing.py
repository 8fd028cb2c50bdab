"""Addressing: every address of some bytes at once, while they stream by.

A file is read once for four digests over all of it: its sha256, that of its chunks of 1 MiB (IPFS), that of its blocks
of 16 KiB (BitTorrent v2) and the SHA-1 of its torrent's pieces (v1, which the infohash of v2 covers). None depends on
another, so a big file is hashed by several threads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgekit.addressing.torrent import Torrent, TorrentBuilder
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag
from edgekit.errors import InputError
from edgekit.types.blob import Addresses

if TYPE_CHECKING:
    from typing import TypeAlias

    from _typeshed import ReadableBuffer

    Take: TypeAlias = Callable[[ReadableBuffer], object]

READ_BYTES = 2**22
"""What is read at a time: long enough that handing it to threads costs nothing beside hashing it."""
_ALONE_BYTES = 2**23
"""Smaller files are hashed by the thread that reads them."""


class Addressing:
    """The addresses of one file.

    Args:
        size_bytes: Its size, at least 1.
        beside: Gets each chunk as well, perhaps in another thread.

    Raises:
        MalformedError: No torrent can be made of so many bytes.

    Attributes:
        dag: Its tree of IPFS, complete when `finish` was called.
        sha256: Its digest, lower-case hex, then.
        torrent: Its torrent, then; None before.
    """

    def __init__(self, size_bytes: int, *, beside: Take | None = None) -> None:
        self.dag = FileDag()
        self.sha256 = ""
        self.torrent: Torrent | None = None
        self._builder = TorrentBuilder(size_bytes)
        self._whole = hashlib.sha256()
        self._size = size_bytes
        self._seen = 0
        self._takers: list[Take] = [self._builder.tree.update, self.dag.update, self._builder.update_v1]
        if size_bytes > CHUNK_BYTES:
            self._takers.append(self._whole.update)
        if beside:
            self._takers.append(beside)

    def update(self, chunk: ReadableBuffer, *, threads: Executor | None = None) -> None:
        """Take the next bytes.

        Args:
            chunk: The bytes; not to be changed before this returns.
            threads: Who does it; None for the thread that calls.
        """
        view = memoryview(chunk)
        self._seen += view.nbytes
        if threads is None:
            for take in self._takers:
                take(view)
        else:
            for done in [threads.submit(take, view) for take in self._takers]:
                done.result()

    def finish(self) -> Addresses:
        """The addresses.

        Raises:
            InputError: There were more bytes, or fewer, than was said.
        """
        if self._seen != self._size:
            raise InputError(f"a file of {self._size} bytes had {self._seen}", hint="was it being written?")
        cid = self.dag.finish()
        # A file of one chunk has the chunk's digest, which need not be made twice.
        self.sha256 = self.dag.leaves[0].hex() if self._size <= CHUNK_BYTES else self._whole.hexdigest()
        self.torrent = self._builder.finish(self.sha256)
        return Addresses(cid, self.torrent.pieces_root.hex(), self.torrent.infohash)


def address_stream(
    stream: BinaryIO, size_bytes: int, *, beside: Take | None = None, advance: Callable[[int], object] = lambda _: None
) -> Addressing:
    """Read a file to its end for its addresses; `finish` is still to be called.

    Args:
        stream: The file, at its start.
        size_bytes: Its size.
        beside: See Addressing.
        advance: Told how many bytes each chunk had.

    Raises:
        MalformedError: No torrent can be made of so many bytes.
        OSError: It cannot be read.
    """
    addressing = Addressing(size_bytes, beside=beside)
    lanes = 1 if size_bytes < _ALONE_BYTES else min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="addressing") if lanes > 1 else None
    try:
        with memoryview(bytearray(min(READ_BYTES, size_bytes))) as buffer:
            while got := stream.readinto(buffer):  # type: ignore[attr-defined]  # BinaryIO lacks it, binary files have it
                addressing.update(buffer[:got], threads=pool)
                advance(got)
    finally:
        if pool:
            pool.shutdown()
    return addressing


def addresses_of(data: bytes) -> Addresses:
    """The addresses of some bytes, at least one.

    Raises:
        MalformedError: There are none.
    """
    addressing = Addressing(len(data))
    addressing.update(data)
    return addressing.finish()


def addresses_of_file(path: Path) -> Addresses:
    """The addresses of a file.

    Raises:
        InputError: It cannot be read, or changes meanwhile.
        MalformedError: It is empty.
    """
    try:
        with path.open("rb") as stream:
            return address_stream(stream, os.fstat(stream.fileno()).st_size).finish()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
