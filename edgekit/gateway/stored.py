"""What can be given out: files of this machine that are held against digests again whenever they are read, and bytes.

A file that a node runs may be replaced, rewritten or removed at any time, and an SD card may forget. Each slice is
therefore hashed after it was read and before it goes out; what it should be was learnt when the file was hashed whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from edgekit.addressing.cid import Cid
from edgekit.addressing.parts import Parts
from edgekit.addressing.unixfs import FileDag, Link
from edgekit.errors import DigestError
from edgekit.types.blob import Blob, check_sha256

SLICE_BYTES = 2**16
"""What is read, hashed and sent at a time."""
_READ_BYTES = 2**20
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class GoneError(DigestError):
    """A file does not hold any more what it did.

    Attributes:
        file: Which.
    """

    def __init__(self, file: StoredFile) -> None:
        super().__init__(f"{file.path} does not hold blob {file.blob.sha256[:12]} any more")
        self.file = file


class Content(Protocol):
    """Some bytes to give out.

    Attributes:
        size_bytes: How many.
    """

    @property
    def size_bytes(self) -> int:
        """How many."""
        ...

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """A part of them, in slices.

        Args:
            start: First byte.
            stop: One past the last byte, at most `size_bytes`.

        Raises:
            GoneError: They are not there any more.
        """
        ...


@dataclass(frozen=True)
class Held:
    """Bytes in memory."""

    data: bytes

    @cached_property
    def sha256(self) -> str:
        """Their digest, lower-case hex; made once, however often strangers ask."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def size_bytes(self) -> int:
        """How many."""
        return len(self.data)

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """A part of them, in slices."""
        with memoryview(self.data) as view:
            for at in range(start, stop, SLICE_BYTES):
                yield view[at : min(at + SLICE_BYTES, stop)]


@dataclass(frozen=True)
class Part:
    """Some bytes of a file, as if they were all there is: a block.

    Attributes:
        whole: The file.
        start: Its first byte.
        stop: One past its last byte.
    """

    whole: Content
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many."""
        return self.stop - self.start

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """A part of them, in slices; see `Content.read`."""
        return self.whole.read(self.start + start, self.start + stop)


class StoredFile:
    """A file that holds a blob.

    Attributes:
        blob: Which.
        path: Where; nothing is opened but a regular file, and no link is followed there.
        leaves: Digests of its chunks of 1 MiB, which are its blocks in IPFS.
        nodes: CID -> bytes of the blocks above them.
        root: What leads to the whole in IPFS.
    """

    def __init__(self, blob: Blob, path: Path) -> None:
        """Read the file once, to know each slice of it again.

        Args:
            blob: What it should hold; only its digest and its size count.
            path: Where it is.

        Raises:
            DigestError: It holds something else, or is no regular file, or cannot be read.
        """
        self.blob, self.path = blob, path
        check_sha256(blob.sha256, where=f"the digest of {path.name}")
        whole, slices, dag, count = hashlib.sha256(), Parts(SLICE_BYTES), FileDag(), 0
        with suppress(OSError), _Opened(path) as file:
            while count <= blob.size_bytes and (chunk := os.pread(file, _READ_BYTES, count)):
                whole.update(chunk)
                slices.update(chunk)
                dag.update(chunk)
                count += len(chunk)
        if count != blob.size_bytes or whole.hexdigest() != blob.sha256:
            raise DigestError(f"{path} does not hold blob {blob.sha256[:12]} of {blob.size_bytes} bytes")
        self._slices = b"".join(slices.finish())
        dag.finish()
        self.leaves: tuple[bytes, ...] = tuple(dag.leaves)
        self.nodes: Mapping[Cid, bytes] = dag.nodes
        self.root: Link = dag.root

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self.blob.size_bytes

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """A part of the blob, in slices, each held against its digest; see `Content.read`.

        Raises:
            GoneError: The file holds something else, or cannot be read any more.
            OSError: This machine has no room to open it just now.
        """
        for number in range(start // SLICE_BYTES, -(-stop // SLICE_BYTES)):
            begin = number * SLICE_BYTES
            yield memoryview(self._slice(number))[max(start - begin, 0) : stop - begin]

    def _slice(self, number: int) -> bytes:
        data = b""
        try:
            with _Opened(self.path) as file:
                data = os.pread(file, SLICE_BYTES, number * SLICE_BYTES)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
        if hashlib.sha256(data).digest() != self._slices[number * 32 : number * 32 + 32]:
            raise GoneError(self)
        return data


class _Opened:
    """A regular file, open for reading inside a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise OSError(f"{self._path} is no regular file")
        return self._file

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
