"""A tar.gz whose bytes depend on its files alone: sorted, without owners and times."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from pathlib import Path

LEVEL = 6
"""Of gzip; 9 takes four times as long for 1 % less."""


def write_tarball(folder: Path, out: Path) -> None:
    """Write a folder, with its own name at the top, as one file that appears whole or not at all.

    Args:
        folder: Its files, folders and symbolic links.
        out: The file to write.

    Raises:
        OSError: Something cannot be read or written.
    """
    handle, name = tempfile.mkstemp(prefix=".edgekit-", dir=out.parent)
    unfinished = Path(name)
    try:
        with (
            os.fdopen(handle, "wb") as stream,
            gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=stream, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
        ):
            for path in sorted([folder, *folder.rglob("*")]):
                _add(archive, path, path.relative_to(folder.parent).as_posix())
        unfinished.chmod(0o644)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """One entry; permissions are cut down to whether it can be executed."""
    entry = archive.gettarinfo(path, name)
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    if entry.isreg():
        with path.open("rb") as stream:
            archive.addfile(entry, stream)
    else:
        archive.addfile(entry)
