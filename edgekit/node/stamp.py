"""Stamp: by what a change of a file is noticed without reading it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.types.blob import Blob


@dataclass(frozen=True)
class Stamp:
    """What changes about a file when somebody writes to it or puts another one in its place.

    Attributes:
        inode: Which file of the disk.
        size_bytes: Its size.
        changed_ns: When it was written to last.
    """

    inode: int
    size_bytes: int
    changed_ns: int

    @staticmethod
    def of(path: Path) -> Stamp | None:
        """Of a regular file; None where there is none."""
        try:
            found = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return Stamp(found.st_ino, found.st_size, found.st_mtime_ns)


def holds(path: Path, blob: Blob) -> bool:
    """Whether a file is a blob, every byte hashed; one that cannot be read is not."""
    found = Stamp.of(path)
    try:
        return found is not None and found.size_bytes == blob.size_bytes and digest.of_file(path) == blob.sha256
    except OSError:
        return False
