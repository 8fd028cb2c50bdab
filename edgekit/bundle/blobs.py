"""Blobs: where a bundle's bytes are read from by their digest, whoever keeps them: a folder, a tar file, a channel.

Nothing here is trusted: whatever is read whole is held against its digest, and whoever reads a stream hashes it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from edgekit import digest
from edgekit.errors import DigestError, InputError, MalformedError
from edgekit.types.blob import Blob, Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 2**18


class Blobs(Protocol):
    """A source of bytes by digest."""

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """A small blob, whole.

        Raises:
            MalformedError: It is not there, or is larger than `limit_bytes`.
            DigestError: The bytes are others.
        """
        ...

    def open(self, blob: Blob) -> BinaryIO:
        """A blob as a stream of exactly its size, whose content is still to be hashed.

        Raises:
            MalformedError: It is not there.
            DigestError: Its size is another.
        """
        ...


class FolderBlobs:
    """The blobs of a layout in a folder.

    Args:
        folder: The layout's; it may be reached by symbolic links, and nothing inside it may be one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """See Blobs."""
        check_limit(descriptor, limit_bytes)
        with self.open(descriptor.blob) as stream:
            return read_checked(stream, descriptor)

    def open(self, blob: Blob) -> BinaryIO:
        """See Blobs."""
        for name in ("blobs", "blobs/sha256"):
            if (self._folder / name).is_symlink():
                raise MalformedError(f"{name} is a symbolic link; a bundle's folder holds none")
        stream = open_regular(self._folder / blob.file_name, what=f"blob sha256:{blob.sha256}")
        try:
            check_length(os.fstat(stream.fileno()).st_size, blob)
        except DigestError:
            stream.close()
            raise
        return stream


class TarBlobs:
    """The blobs inside an uncompressed tar file, read at their offsets.

    Args:
        descriptor: File descriptor of the tar file; whoever opened it closes it after the last read.
        members: sha256 of a blob -> offset and size of its content, in bytes.
    """

    def __init__(self, descriptor: int, members: Mapping[str, tuple[int, int]]) -> None:
        self._descriptor = descriptor
        self._members = members

    def read(self, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """See Blobs."""
        check_limit(descriptor, limit_bytes)
        with self.open(descriptor.blob) as stream:
            return read_checked(stream, descriptor)

    def open(self, blob: Blob) -> BinaryIO:
        """See Blobs."""
        if blob.sha256 not in self._members:
            raise absent(f"blob sha256:{blob.sha256}")
        offset, size = self._members[blob.sha256]
        check_length(size, blob)
        return io.BufferedReader(_Window(self._descriptor, offset, size), BUFFER_BYTES)


class _Window(io.RawIOBase):
    """Some bytes of an open file; leaves the file's own position alone, so that several may be read in turns."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._next = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer) as view:
            count = os.preadv(self._descriptor, [view[: self._end - self._next]], self._next)
        self._next += count
        return count


def open_regular(path: Path, *, what: str) -> BinaryIO:
    """A regular file, not followed if it is a link, nor waited for if it is a pipe.

    Args:
        path: Where it is.
        what: What it is, for messages.

    Raises:
        MalformedError: It is not there, or is no regular file.
        InputError: It cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise absent(what) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise MalformedError(f"{what} is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise MalformedError(f"{what} is no regular file") from error
        raise unreadable(what, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MalformedError(f"{what} is no regular file")
    return os.fdopen(descriptor, "rb", buffering=BUFFER_BYTES)


def check_limit(descriptor: Descriptor, limit_bytes: int) -> None:
    """That a blob is small enough to be held in memory.

    Raises:
        MalformedError: It says that it is not.
    """
    if descriptor.size_bytes > limit_bytes:
        raise MalformedError(
            f"{descriptor.digest} ({descriptor.media_type}) has {descriptor.size_bytes} bytes; "
            f"at most {limit_bytes} are allowed"
        )


def check_length(size_bytes: int, blob: Blob) -> None:
    """That a blob has the size that was named.

    Raises:
        DigestError: It has another.
    """
    if size_bytes != blob.size_bytes:
        raise DigestError(f"sha256:{blob.sha256} has {size_bytes} bytes instead of {blob.size_bytes}")


def read_checked(stream: BinaryIO, descriptor: Descriptor) -> bytes:
    """The bytes that a descriptor names.

    Raises:
        DigestError: They are others.
        InputError: They cannot be read.
    """
    try:
        data = stream.read(descriptor.size_bytes)
    except OSError as error:
        raise unreadable(descriptor.digest, error) from error
    check_length(len(data), descriptor.blob)
    if digest.of_bytes(data) != descriptor.sha256:
        raise DigestError(f"{descriptor.digest} holds other bytes: their sha256 is {digest.of_bytes(data)}")
    return data


def unreadable(what: str, error: OSError) -> InputError:
    """The error of something that is there, and that this machine does not give."""
    return InputError(f"cannot read {what}: {error.strerror or error}")


def absent(what: str) -> MalformedError:
    """The error of something that a bundle names and does not hold."""
    return MalformedError(f"the bundle lacks {what}", hint="it was not copied whole: fetch it again")
