"""Workspace: a run's unfinished files live beside the target folder and move into it together, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import StorageError

_PREFIX = ".edgekit-"
"""Of the temporary folder; short, and independent of the target's name, which may be as long as a name can be."""

_STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


class Workspace:
    """Where a run writes.

    Attributes:
        files: Folder for what the user will get; moved into the target by `publish`.
        scratch: Folder for what is thrown away at the end.
    """

    def __init__(self, root: Path, target: Path) -> None:
        self.files = root / "files"
        self.scratch = root / "scratch"
        self._target = target
        self.files.mkdir()
        self.scratch.mkdir()

    def publish(self, *, known: Collection[str] = ()) -> None:
        """Move every file into the target folder; each move is atomic, and files of an earlier run are replaced.

        Args:
            known: Names that a run writes or not, as asked. Where all others are in the folder already, there was an
                earlier run, and what only it wrote is removed: it would pass for a file of the new graph.
        """
        self._target.mkdir(parents=True, exist_ok=True)
        written = {path.name for path in self.files.iterdir()}
        earlier = all((self._target / name).exists() for name in written.difference(known))
        for name in sorted(written):
            os.replace(self.files / name, self._target / name)
        if earlier:
            for name in set(known) - written:
                (self._target / name).unlink(missing_ok=True)


@contextmanager
def open_workspace(target: Path) -> Iterator[Workspace]:
    """A workspace on the same file system as `target`; removed when the block is left, also by Ctrl-C.

    Raises:
        StorageError: The folder cannot be written, or the disk is full: wherever in the block that shows.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise StorageError(f"{target} is a file, not a folder", hint="choose another folder with --out")
        root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
    except OSError as error:
        raise _storage_error(error, target) from error
    try:
        yield Workspace(root, target)
    except OSError as error:
        if error.errno in _STORAGE_ERRORS and not isinstance(error, StorageError):
            raise _storage_error(error, target) from error
        raise
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    """Remove the folder, also when a second Ctrl-C falls into the removing."""
    try:
        shutil.rmtree(root, ignore_errors=True)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _storage_error(error: OSError, target: Path) -> StorageError:
    if isinstance(error, StorageError):
        return error
    cause, way = error.strerror or str(error), "choose another folder with --out"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        cause = "a part of its path is a file, not a folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        way = f"free some space, or {way}"
    return StorageError(f"cannot write to {target}: {cause}", hint=way)
