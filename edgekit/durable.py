"""Files that outlive a power cut: written whole under another name, flushed, renamed, and the folder's entry flushed.

For small files whose readers see the old one or the new one at every moment. What a test has to be able to cut off at
each step (`node.disk`, `transparency.log_files`) takes these steps by itself.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(target: Path, data: bytes, *, unfinished: str = "") -> None:
    """Put a file in the place of another, or of none.

    Args:
        target: The file; its folder is there.
        data: Its content.
        unfinished: What it is called until it is whole, in the same folder; "" for a name that the next call for the
            same target uses again, so that what a kill leaves behind does not pile up.

    Raises:
        OSError: The system refuses; the old file is there, and nothing else.
    """
    passing = target.with_name(unfinished or f".{target.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(passing, flags, 0o644)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(passing, target)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def make_folder(path: Path) -> None:
    """A folder, and those above it; where it was missing, its entry is flushed.

    Raises:
        OSError: The system refuses.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of names is on the disk.

    Raises:
        OSError: The system refuses.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
