"""The cache of things that are built once: each is a folder that is there whole, or not at all.

It is `$EDGEKIT_CACHE`, else `$XDG_CACHE_HOME/edgekit`, else `~/.cache/edgekit`, and may be removed whenever nothing
runs from it. A folder is named after what it is and a key of what it is made of, so that a newer edgekit builds its
own beside an older one's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit import digest
from edgekit.errors import StorageError

KEY_LETTERS = 12


def cache_folder() -> Path:
    """Where built things are kept; it need not exist."""
    if chosen := os.environ.get("EDGEKIT_CACHE"):
        return Path(chosen).absolute()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home).absolute() if home else Path.home() / ".cache") / "edgekit"


def key_of(*ingredients: Any) -> str:
    """Short name of what something is made of.

    Args:
        ingredients: Whatever changes the result; plain data, as JSON has it.

    >>> key_of("bookworm", ["libc6"])
    '18a0fb7f7ffc'
    """
    return digest.of_bytes(digest.canonical_json(ingredients).encode())[:KEY_LETTERS]


def find_built(name: str, key: str) -> Path | None:
    """The folder of that name and key, if it has been built."""
    folder = cache_folder() / f"{name}-{key}"
    return folder if folder.is_dir() else None


def ensure_built(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """The folder of that name and key; built now if it is not there.

    Whoever comes while another process builds waits for it. What a build that was cut off has left is removed.

    Args:
        name: What it is.
        key: As `key_of` gives it.
        build: Fills an empty folder, which is then moved into place.

    Raises:
        StorageError: The cache cannot be written, or the disk is full.
    """
    folder = cache_folder() / f"{name}-{key}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f".{folder.name}.lock")):
            if not folder.is_dir():
                _build(folder, build)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be built: {error.strerror or error}",
            hint="free some space, or choose another place with the environment variable EDGEKIT_CACHE",
        ) from error
    return folder


def _build(folder: Path, build: Callable[[Path], None]) -> None:
    prefix = f".{folder.name}.building-"
    for left in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        build(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """One process at a time; released by the system when a process dies."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
