"""The files of a folder against what was signed: each as it should be, none missing, none more."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from edgekit.errors import DigestError, MalformedError
from edgekit.types.manifest import FILE_PATH

_MOST_FILES = 4096


def digest_folder(folder: Path, *, ignoring: Collection[str] = ()) -> dict[str, str]:
    """Path below the folder -> sha256, of every file, sorted.

    Args:
        folder: Where to look, at any depth.
        ignoring: Paths that are passed over, a folder with all that is in it.

    Raises:
        MalformedError: A symbolic link, a device, a name that no file of a bundle may have, or two that differ only
            in case.
        OSError: A file cannot be read.
    """
    found = {path: _digest(folder / path) for path in sorted(_walk(folder, "", frozenset(ignoring)))}
    if len({path.lower() for path in found}) != len(found):
        raise MalformedError(f"{folder} has two files whose names differ only in case")
    return found


def check_folder(folder: Path, files: Mapping[str, str], *, ignoring: Collection[str] = ()) -> None:
    """Do nothing where a folder holds exactly these files.

    Args:
        folder: Where they are.
        files: Path -> sha256, lower-case hex, as a model signature says.
        ignoring: As for `digest_folder`.

    Raises:
        DigestError: One was changed, is missing, or is one too many; names them.
        MalformedError: As `digest_folder`.
        OSError: A file cannot be read.
    """
    there = digest_folder(folder, ignoring=ignoring)
    faults = [
        (what, sorted(paths))
        for what, paths in (
            ("changed", {path for path in files.keys() & there.keys() if files[path] != there[path]}),
            ("missing", files.keys() - there.keys()),
            ("not signed", there.keys() - files.keys()),
        )
        if paths
    ]
    if faults:
        told = "; ".join(f"{what}: {', '.join(paths[:5])}{', ...' if len(paths) > 5 else ''}" for what, paths in faults)
        raise DigestError(f"the files in {folder} are not those that were signed ({told})")


def _walk(folder: Path, below: str, ignoring: frozenset[str]) -> list[str]:
    """Paths of all files, relative; stops at the first thing that is neither file nor folder."""
    paths: list[str] = []
    with os.scandir(folder / below) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if path in ignoring:
                continue
            if entry.is_symlink():
                raise MalformedError(f"{path[:120]!r} in {folder} is a symbolic link", hint="put the file itself there")
            if not FILE_PATH.fullmatch(path):
                raise MalformedError(f"{path[:120]!r} in {folder} is no name that a bundle's file may have")
            if entry.is_dir(follow_symlinks=False):
                paths += _walk(folder, f"{path}/", ignoring)
            elif entry.is_file(follow_symlinks=False):
                paths.append(path)
            else:
                raise MalformedError(f"{path[:120]!r} in {folder} is neither file nor folder")
            if len(paths) > _MOST_FILES:
                raise MalformedError(f"{folder} has more than {_MOST_FILES} files")
    return paths


def _digest(path: Path) -> str:
    """sha256 of a file that is none but this one: a link put in its place meanwhile is not followed."""
    with open(path, "rb", opener=lambda place, flags: os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise MalformedError(f"{path} is no regular file")
        return hashlib.file_digest(stream, "sha256").hexdigest()
