"""PartFile: a blob on its way to the disk. What lies in it after a crash is believed as far as its digests go.

There is no list of what has arrived: after kill -9, or a power cut that lost any of the writes, each piece is hashed
again, and those that are right are kept.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from edgekit.durable import sync_folder
from edgekit.errors import DigestError, StorageError
from edgekit.transport.pieces import Piece, pieces_of
from edgekit.types.blob import Blob
from edgekit.units import size

BLOCK_BYTES = 2**18
SUFFIX = ".part"


class Part(Protocol):
    """Where the bytes of a blob are put, in any order and from several threads, each at its own place."""

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at a place inside of the blob.

        Raises:
            StorageError: The disk is full, or broken.
        """
        ...


class PartMemory:
    """A small blob in memory."""

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray(size_bytes)

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """See Part."""
        self.data[position : position + len(data)] = data


class PartFile:
    """A file beside its target, never longer than the blob, open in one process at a time."""

    def __init__(self, target: Path, size_bytes: int) -> None:
        """Open what an earlier run left, or begin.

        Args:
            target: Where the whole will lie; the part lies beside it, as `NAME.part`.
            size_bytes: Of the whole. The space is reserved at once, where the file system can.

        Raises:
            StorageError: No space, no permission, or another process is fetching the same.
        """
        self._target = target
        self._path = target.with_name(target.name + SUFFIX)
        self._size_bytes = size_bytes
        try:
            if not stat.S_ISREG(os.lstat(self._path).st_mode):
                self._path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._error(error) from error
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._begin()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def find(self, pieces: Iterable[Piece]) -> set[int]:
        """Numbers of the pieces that are there already, by their digests."""
        if not self._had_bytes:
            return set()
        return {piece.number for piece in pieces if self._digest(piece.start, piece.stop) == piece.sha256}

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """See Part."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._file, view, position)
                position, view = position + written, view[written:]
        except OSError as error:
            raise self._error(error) from error

    def finish(self, sha256: str) -> None:
        """Hold the whole against its digest, make it durable, and give it its name.

        Raises:
            DigestError: It is something else; the file is removed.
            StorageError: The disk is full, or broken.
        """
        found = self._digest(0, self._size_bytes)
        try:
            if found != sha256:
                self._path.unlink()
                raise DigestError(
                    f"{self._target.name}: every piece is right, and the whole has the sha256 {found[:12]}..., "
                    f"not {sha256[:12]}...: what was signed contradicts itself"
                )
            os.fsync(self._file)
            os.replace(self._path, self._target)
            sync_folder(self._target.parent)
        except OSError as error:
            raise self._error(error) from error

    def _begin(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"{self._path} is being written by another process", hint="wait for that one to end"
            ) from error
        try:
            self._had_bytes = os.fstat(self._file).st_size > 0
            os.ftruncate(self._file, self._size_bytes)
            if self._size_bytes and hasattr(os, "posix_fallocate"):
                self._reserve()
        except OSError as error:
            raise self._error(error) from error

    def _reserve(self) -> None:
        """Take the space now: a disk that is too small is to be known before anything is sent."""
        try:
            os.posix_fallocate(self._file, 0, self._size_bytes)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                if not self._had_bytes:
                    os.ftruncate(self._file, 0)  # others on this machine need what was reserved
                raise

    def _digest(self, start: int, stop: int) -> str:
        found = hashlib.sha256()
        try:
            while start < stop and (block := os.pread(self._file, min(BLOCK_BYTES, stop - start), start)):
                found.update(block)
                start += len(block)
        except OSError as error:
            raise self._error(error) from error
        return found.hexdigest()

    def _error(self, error: OSError) -> StorageError:
        hint = f"{size(self._size_bytes)} are needed there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return StorageError(f"{self._path}: {error.strerror}", hint=hint)


def missing_bytes(blob: Blob, target: Path) -> int:
    """Bytes of a blob that are still to come, after what an earlier run has left beside `target`.

    Raises:
        StorageError: What was left cannot be read, or another process is fetching the same.
        MalformedError: The blob's pieces do not make up its size.
    """
    if not target.with_name(target.name + SUFFIX).exists():
        return blob.size_bytes
    pieces = pieces_of(blob)
    with PartFile(target, blob.size_bytes) as part:
        done = part.find(pieces)
    return sum(piece.size_bytes for piece in pieces if piece.number not in done)
