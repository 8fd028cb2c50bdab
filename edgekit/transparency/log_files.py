"""The files of a log that is written here, each write a named step, so that a test can end the world at any of them.

Tiles are written first and made durable together; then one small file is replaced, in one moment. Whatever ends the
process in between leaves the log as it was: tiles that no checkpoint speaks of are nothing, and are overwritten.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import StorageError

_UNFINISHED = ".tmp"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class LogFiles:
    """Writes below one folder. Raises StorageError where the system refuses.

    Attributes:
        folder: Of the log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unsettled: dict[Path, None] = {}
        """Files that are not durable yet, in the order in which they were written."""

    def before(self, step: str, path: Path) -> None:
        """A step is about to be taken; tests stop here.

        Args:
            step: "make folder", "write", "sync", "rename", "remove".
            path: What it is done to.
        """

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the log; the system lets go of it when the process ends, however it ends.

        Raises:
            StorageError: Another process holds it, or the folder cannot be written.
        """
        place = self.folder / ".lock"
        try:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused("lock", place, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(
                    f"another process writes to the log in {self.folder}", hint="wait until it is done"
                ) from error
            yield
        finally:
            os.close(descriptor)

    def read(self, name: str, limit_bytes: int) -> bytes | None:
        """The first bytes of a file; None where there is none. A pipe, which may never end, is not waited for.

        Raises:
            StorageError: It is no regular file, or the system refuses.
        """
        path = self.folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return os.pread(descriptor, limit_bytes, 0)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused("read", path, error) from error
        raise StorageError(f"{path} is no regular file", hint="see who put it there, and remove it")

    def write(self, name: str, data: bytes) -> None:
        """A file that nothing speaks of yet; durable only after `settle`."""
        path = self.folder / name
        self._make_folders(path.parent)
        self._put(path, data)
        self._unsettled[path] = None

    def settle(self) -> None:
        """Wait until everything that was written, and the folders that name it, are on the disk.

        All folders up to the log's: one that a process made that was ended may be there and not be durable.
        """
        folders: dict[Path, None] = {}
        for path in self._unsettled:
            above = path.relative_to(self.folder).parents
            folders |= {self.folder / folder: None for folder in above}
        for path in (*self._unsettled, *folders):
            self._sync(path)
        self._unsettled.clear()

    def replace(self, name: str, data: bytes) -> None:
        """Put a file in the place of another, in one moment and durable."""
        path = self.folder / name
        unfinished = path.with_name(path.name + _UNFINISHED)
        self._put(unfinished, data)
        self._sync(unfinished)
        with self._step("rename", path):
            os.replace(unfinished, path)
        self._sync(path.parent)

    def remove(self, name: str) -> None:
        """A file less; absent is no error."""
        path = self.folder / name
        with self._step("remove", path):
            path.unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """A folder of files less; absent is no error."""
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            for item in sorted(os.listdir(path)):
                self.remove(f"{name}/{item}")
            with self._step("remove", path):
                path.rmdir()

    def _make_folders(self, path: Path) -> None:
        if path == self.folder or path.is_dir():
            return
        self._make_folders(path.parent)
        with self._step("make folder", path):
            path.mkdir(exist_ok=True)

    def _put(self, path: Path, data: bytes) -> None:
        with self._step("write", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags, 0o644), "wb") as stream:
                stream.write(data)

    def _sync(self, path: Path) -> None:
        with self._step("sync", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _step(self, step: str, path: Path) -> Iterator[None]:
        try:
            self.before(step, path)
            yield
        except OSError as error:
            raise _refused(step, path, error) from error


def _refused(step: str, path: Path, error: OSError) -> StorageError:
    way = "free some space" if error.errno in _FULL else "choose a folder that you may write to"
    return StorageError(f"cannot {step} {path}: {error.strerror or error}", hint=way)
