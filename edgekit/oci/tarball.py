"""Writes a layout as one `.tar` whose bytes depend on its files alone: ustar, sorted, no owners, times or folders.

There is no compression: models hardly compress, and a reader finds each blob at its offset.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

from edgekit.errors import InputError, StorageError
from edgekit.oci.layout import INDEX_NAME, LAYOUT_NAME

LARGEST_MEMBER_BYTES = 8**11 - 1
"""What the eleven octal digits of a ustar header can say: just below 8 GiB."""


def write_tar(folder: Path, out: Path) -> None:
    """Write a layout as a tar file, which appears whole or not at all.

    Args:
        folder: The layout; a file in it that is none of its own is refused.
        out: The file to write; one that is there is replaced.

    Raises:
        InputError: The folder is no layout, or a blob is 8 GiB or larger.
        StorageError: The disk is full, or not writable.
    """
    members = _members(folder)
    unfinished: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        unfinished = Path(name)
        with (
            os.fdopen(handle, "wb") as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name, path in sorted(members.items()):
                _add(archive, name, path)
            archive.close()
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(out)
    except OSError as error:
        raise StorageError(
            f"cannot write {out}: {error.strerror or error}", hint="free some space, or choose another place"
        ) from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def _members(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    blobs = {name for name in found if name.startswith("blobs/sha256/")}
    if not {INDEX_NAME, LAYOUT_NAME} <= set(found):
        raise InputError(f"{folder} is no bundle: it lacks {INDEX_NAME} or {LAYOUT_NAME}")
    for name, path in found.items():
        if name not in {INDEX_NAME, LAYOUT_NAME, *blobs} or path.is_symlink() or not path.is_file():
            raise InputError(f"{folder} holds {name}, which is no part of a bundle")
        if path.stat().st_size > LARGEST_MEMBER_BYTES:
            raise InputError(
                f"{name} has {path.stat().st_size} bytes; a tar file holds less than 8 GiB each",
                hint="pass the bundle on as a folder",
            )
    return found


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    entry.mode = 0o644
    with path.open("rb") as stream:
        archive.addfile(entry, stream)
