"""Disk: every write of a node as one named step, so that a test can end the world at each of them.

What a step changes is on the disk for good only after `sync` of the file, and of the folder that names it (POSIX
fsync). The verbs below are put together from steps in the order which that asks for: contents first, then the name,
then the folder. Until the last rename the old file is there whole; after it the new one is.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import StorageError

TEMPORARY = ".tmp"
"""End of the name of a file that is not whole yet; whoever finds one after a crash may remove it."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """The file system. Every step calls `before`, which does nothing here.

    Steps raise StorageError where the system refuses: no space, no permission.
    """

    def before(self, step: str, path: Path) -> None:
        """A step is about to be taken; tests stop here, or raise OSError in the system's place.

        Args:
            step: "make folder", "write", "copy", "sync", "rename", "link", "join", "remove".
            path: What it is done to.
        """

    def make_folder(self, path: Path) -> None:
        """A folder, readable by its owner alone unless the umask of the service says otherwise."""
        with self._step("make folder", path):
            path.mkdir(exist_ok=True)

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        """A file of that content, not durable yet; one that is there is overwritten, a link is not followed."""
        with self._step("write", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(path, flags, mode), "wb") as stream:
                stream.write(data)

    def copy(self, source: Path, target: Path) -> None:
        """A file of its own with the content of another, not durable yet."""
        with self._step("copy", target):
            shutil.copyfile(source, target, follow_symlinks=False)

    def sync(self, path: Path) -> None:
        """Wait until a file's content, or a folder's list of names, is on the disk."""
        with self._step("sync", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Another name for a file, link or folder, in one moment; a file or link of that name is gone then."""
        with self._step("rename", target):
            source.rename(target)

    def link(self, path: Path, target: str) -> None:
        """A symbolic link."""
        with self._step("link", path):
            path.symlink_to(target)

    def join(self, source: Path, target: Path) -> None:
        """One more name for a file (a hard link), which takes no space; there must be none of that name."""
        with self._step("join", target):
            os.link(source, target, follow_symlinks=False)

    def remove(self, path: Path) -> None:
        """A file, a link or an empty folder less."""
        with self._step("remove", path):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)

    @contextmanager
    def _step(self, step: str, path: Path) -> Iterator[None]:
        try:
            self.before(step, path)
            yield
        except OSError as error:
            way = "free some space" if error.errno in _FULL else "give the node's user the right to write there"
            raise StorageError(f"cannot {step} {path}: {error.strerror or error}", hint=way) from error


def save(disk: Disk, path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put a file there, whole and durable, or leave what was there.

    Raises:
        StorageError: The system refuses.
    """
    unfinished = path.with_name(path.name + TEMPORARY)
    disk.write(unfinished, data, mode=mode)
    adopt(disk, unfinished, path)


def adopt(disk: Disk, source: Path, target: Path) -> None:
    """Move a finished file to its place, durable; both are on one file system.

    Raises:
        StorageError: The system refuses.
    """
    disk.sync(source)
    disk.rename(source, target)
    disk.sync(target.parent)


def point(disk: Disk, link: Path, target: str) -> None:
    """Make a symbolic link point elsewhere, in one moment and durable.

    Raises:
        StorageError: The system refuses.
    """
    unfinished = link.with_name(link.name + TEMPORARY)
    if os.path.lexists(unfinished):
        disk.remove(unfinished)
    disk.link(unfinished, target)
    disk.rename(unfinished, link)
    disk.sync(link.parent)


def make_folders(disk: Disk, path: Path, *, below: Path) -> None:
    """A folder and those above it, down from one that is there; each name durable.

    A link is no folder here: what is not wanted in a folder of a node's goes, and elsewhere that is somebody's own.

    Args:
        disk: Where.
        path: The folder.
        below: One above it, which may lie anywhere.

    Raises:
        StorageError: The system refuses, or a part of the path is no folder.
    """
    if path == below:
        return
    make_folders(disk, path.parent, below=below)
    if path.is_symlink():
        raise StorageError(f"{path} is a link, and no folder", hint="remove it; another disk can be mounted there")
    if not path.is_dir():
        disk.make_folder(path)
        disk.sync(path.parent)


def sync_folders(disk: Disk, path: Path) -> None:
    """Wait until a folder's names, and those of all folders in it, are on the disk.

    Raises:
        StorageError: The system refuses.
    """
    for folder, _, _ in os.walk(path, topdown=False):
        disk.sync(Path(folder))


def clear(disk: Disk, path: Path) -> None:
    """Remove a file, or a folder and all that is in it; links are removed, not followed. Absent is no error.

    Raises:
        StorageError: The system refuses.
    """
    if path.is_symlink() or not path.is_dir():
        if os.path.lexists(path):
            disk.remove(path)
        return
    for item in sorted(os.listdir(path)):
        clear(disk, path / item)
    disk.remove(path)
