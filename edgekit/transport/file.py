"""FileTransport: a tree of files in a folder of this machine, which may be a stick that somebody else filled.

Links are followed inside the folder only, and nothing but regular files is opened. A file is written under another
name, made durable, and renamed, so that a reader sees the old one or the new one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from edgekit.durable import sync_folder
from edgekit.errors import AbsentError, InputError, LengthError, StorageError, TransferError
from edgekit.transport.names import check_name

CHUNK_BYTES = 2**18
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def open_file(url: str) -> FileTransport:
    """The transport of a folder, which need not exist until something is written to it.

    Args:
        url: A path, "file:relative/path" or "file:///absolute/path"; only the last form is percent-decoded.

    Raises:
        InputError: The URL names another machine, or no path.
    """
    path = url.removeprefix("file:")
    if url.startswith("file://"):
        found = re.fullmatch(r"file://(?:localhost)?(/[^?#]*)", url)
        if not found:
            raise InputError(f"'{url}' names no folder of this machine", hint="write file:///absolute/path, or a path")
        path = unquote(found[1])
    if not path or "\0" in path:
        raise InputError(f"'{url}' names no folder", hint="write a path")
    return FileTransport(Path(path), url=url)


class FileTransport:
    """Reads and writes below one folder."""

    def __init__(self, folder: Path, *, url: str = "") -> None:
        """Prepare.

        Args:
            folder: The root of the tree.
            url: What messages call it; the path when empty.
        """
        self.folder = folder
        self.url = url or str(folder)

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a file; see `Transport.read`.

        Raises:
            AbsentError: There is no such file.
            TransferError: It is no regular file, lies outside the folder, or cannot be read.
        """
        file = self._open(check_name(name))
        try:
            yield self._chunks(file, name, start, stop)
        finally:
            os.close(file)

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        """Put a file there, whole or not at all; see `Transport.write`.

        Raises:
            StorageError: No space is left.
            TransferError: The folder cannot be written to.
            LengthError: `chunks` held more or fewer bytes; nothing was put there.
        """
        place = self.folder / check_name(name)
        try:
            self._check_inside(place.parent, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            passing = place.with_name(f".{secrets.token_hex(8)}.part")
            try:
                self._write_durably(passing, chunks, size_bytes)
                os.replace(passing, place)
            finally:
                with suppress(OSError):  # it was renamed, or never made
                    passing.unlink()
            sync_folder(place.parent)
        except StorageError:
            raise
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise StorageError(f"{self.url}: no space is left for {name} of {size_bytes} bytes") from error
            raise TransferError(f"{name} cannot be written: {error.strerror}", source=self.url) from error

    def close(self) -> None:
        """Nothing is held."""

    def _open(self, name: str) -> int:
        """A descriptor of the file, without waiting for the other end of a pipe."""
        try:
            real = self._check_inside(self.folder / name, name)
            file = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _ABSENT:
                raise AbsentError(f"there is no file {name}", source=self.url) from error
            raise TransferError(f"{name} cannot be read: {error.strerror}", source=self.url) from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise TransferError(f"{name} is no regular file", source=self.url)
        return file

    def _check_inside(self, place: Path, name: str) -> Path:
        """Where a path leads once its links are followed.

        Raises:
            TransferError: Out of the folder.
        """
        real = Path(os.path.realpath(place))
        if not real.is_relative_to(os.path.realpath(self.folder)):
            raise TransferError(f"{name} is a link that leads out of the folder", source=self.url)
        return real

    def _chunks(self, file: int, name: str, start: int, stop: int | None) -> Iterator[bytes]:
        position = start
        while stop is None or position < stop:
            length = CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - position)
            try:
                chunk = os.pread(file, length, position)
            except OSError as error:
                raise TransferError(f"{name} cannot be read: {error.strerror}", source=self.url) from error
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def _write_durably(self, passing: Path, chunks: Iterable[bytes], size_bytes: int) -> None:
        written = 0
        with passing.open("xb") as stream:
            for chunk in chunks:
                written += len(chunk)
                if written > size_bytes:
                    break
                stream.write(chunk)
            if written != size_bytes:
                raise LengthError(
                    f"{size_bytes} bytes were announced, and {written} or more came",
                    limit_bytes=size_bytes,
                    source=self.url,
                )
            stream.flush()
            os.fsync(stream.fileno())
