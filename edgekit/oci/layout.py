"""Writes an OCI image layout, a folder that appears whole or not at all: oci-layout, index.json, blobs/sha256/<hex>."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from edgekit.errors import DigestError, InputError, StorageError
from edgekit.oci.documents import LAYOUT, describe
from edgekit.types.blob import LARGEST_BYTES, Descriptor

INDEX_NAME, LAYOUT_NAME = "index.json", "oci-layout"
CHUNK_BYTES = 2**20


class LayoutWriter:
    """A layout in the making, beside its place; `finish` puts it there, and leaving the block without it removes it.

    Args:
        folder: Where it will be. A layout that is there already is replaced; anything else is not.

    Raises:
        InputError: Something else is there.
        StorageError: The place beside it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            _check_place(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            self._unfinished.chmod(0o755)
            self._blobs = self._unfinished / "blobs" / "sha256"
            self._blobs.mkdir(parents=True)
            self._incoming = self._unfinished / "incoming"
        except OSError as error:
            raise _storage(folder, error) from error

    def __enter__(self) -> LayoutWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def add_bytes(self, data: bytes, media_type: str, *, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Add a blob.

        Raises:
            StorageError: The disk is full, or not writable.
        """
        descriptor = describe(data, media_type, annotations=annotations)
        try:
            _write(self._blobs / descriptor.sha256, data)
        except OSError as error:
            raise _storage(self._folder, error) from error
        return descriptor

    def add_file(self, path: Path, media_type: str, *, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Add a file's bytes, copied in pieces and hashed on the way.

        Raises:
            InputError: The file cannot be read.
            StorageError: The disk is full, or not writable.
        """
        try:
            source = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        with source:
            sha256, size = self._copy(iter(lambda: source.read(CHUNK_BYTES), b""))
            self._keep(sha256)
        return Descriptor(media_type, sha256, size, annotations or {})

    def add_chunks(self, chunks: Iterable[bytes], descriptor: Descriptor) -> None:
        """Add a blob that comes from somewhere else, piece by piece; no more is written than it should have.

        Raises:
            DigestError: It is not what the descriptor says.
            StorageError: The disk is full, or not writable.
        """
        sha256, size = self._copy(chunks, limit_bytes=descriptor.size_bytes)
        if size == descriptor.size_bytes and sha256 == descriptor.sha256:
            self._keep(sha256)
            return
        self._incoming.unlink(missing_ok=True)
        if size > descriptor.size_bytes:
            raise DigestError(
                f"{descriptor.digest} has more than the {descriptor.size_bytes} bytes that it should have"
            )
        if size < descriptor.size_bytes:
            raise DigestError(f"{descriptor.digest} has {size} bytes instead of {descriptor.size_bytes}")
        raise DigestError(f"{descriptor.digest} holds other bytes: their sha256 is {sha256}")

    def finish(self, index_bytes: bytes) -> None:
        """Write the index, and put the layout in its place.

        Raises:
            StorageError: The disk is full, or not writable.
        """
        try:
            _write(self._unfinished / LAYOUT_NAME, LAYOUT)
            _write(self._unfinished / INDEX_NAME, index_bytes)
            if self._folder.exists():
                _check_place(self._folder)
                before = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}.", dir=self._folder.parent))
                self._folder.rename(before / "before")
                try:
                    self._unfinished.rename(self._folder)
                except BaseException:
                    (before / "before").rename(self._folder)
                    before.rmdir()
                    raise
                shutil.rmtree(before, ignore_errors=True)
            else:
                self._unfinished.rename(self._folder)
        except OSError as error:
            raise _storage(self._folder, error) from error

    def _copy(self, chunks: Iterable[bytes], *, limit_bytes: int = LARGEST_BYTES) -> tuple[str, int]:
        """Write a file that is no blob yet; its digest and size, which is above the limit when it was cut off there."""
        hashed, size = hashlib.sha256(), 0
        try:
            with self._incoming.open("wb") as target:
                for chunk in chunks:
                    size += len(chunk)
                    if size > limit_bytes:
                        break
                    hashed.update(chunk)
                    target.write(chunk)
                target.flush()
                _sync(target.fileno())
        except OSError as error:
            raise _storage(self._folder, error) from error
        return hashed.hexdigest(), size

    def _keep(self, sha256: str) -> None:
        """What was copied becomes a blob."""
        try:
            self._incoming.chmod(0o644)
            self._incoming.replace(self._blobs / sha256)
        except OSError as error:
            raise _storage(self._folder, error) from error


def _check_place(folder: Path) -> None:
    """Nothing is there, or an empty folder, or a layout and nothing else: what is replaced is deleted.

    Raises:
        InputError: Something else is there, or the folder has no name: "." and "..".
        OSError: It cannot be looked at.
    """
    if folder.name in ("", ".."):
        raise InputError(f"{str(folder)!r} names no new folder", hint="name the folder that is to be written")
    if not (folder.exists() or folder.is_symlink()):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder} exists and is no folder", hint="choose another name, or remove it")
    names = {path.name for path in folder.iterdir()}
    if names and (LAYOUT_NAME not in names or names - {LAYOUT_NAME, INDEX_NAME, "blobs"}):
        raise InputError(f"{folder} holds something that is no bundle", hint="choose another name, or empty it")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        _sync(stream.fileno())
    path.chmod(0o644)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _storage(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write {folder}: {error.strerror or error}", hint="free some space, or choose another place"
    )
