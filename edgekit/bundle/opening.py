"""Opens a bundle where it lies, a folder or a tar file, without unpacking or believing anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.blobs import Blobs, FolderBlobs, TarBlobs, absent, open_regular, unreadable
from edgekit.bundle.tar_index import MOST_MEMBERS, index_tar
from edgekit.errors import InputError, MalformedError
from edgekit.oci.documents import LAYOUT
from edgekit.oci.layout import INDEX_NAME, LAYOUT_NAME
from edgekit.oci.reading import MOST_INDEX_BYTES, check_layout

_HEX = re.compile(r"[0-9a-f]{64}")
_LAYOUT_BYTES = 1024


@dataclass(frozen=True)
class OpenBundle:
    """A bundle that can be read; good while the block of `open_bundle` runs.

    Attributes:
        blobs: Its bytes.
        index_bytes: `index.json`.
        stored: sha256 of every blob that is there, by its name -> size in bytes.
        layout_bytes: `oci-layout`.
    """

    blobs: Blobs
    index_bytes: bytes
    stored: Mapping[str, int]
    layout_bytes: bytes = LAYOUT


@contextmanager
def open_bundle(path: Path) -> Iterator[OpenBundle]:
    """Open a bundle.

    Args:
        path: The folder, or the `.tar`.

    Raises:
        InputError: There is nothing at this path.
        MalformedError: It is no bundle, or holds something that no bundle has.
    """
    try:
        resolved = path.resolve(strict=True)
        is_folder = resolved.is_dir()
    except FileNotFoundError as error:
        hint = "a bundle is a folder or a .tar that edgekit pack wrote"
        raise InputError(f"there is no bundle {path}", hint=hint) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        raise InputError(f"cannot read {path}: {error}") from error
    if is_folder:
        yield _open_folder(path)
        return
    with open_regular(resolved, what=str(path)) as stream:
        index = index_tar(stream.fileno())
        stored = {sha256: size for sha256, (_, size) in index.blobs.items()}
        documents = {name: _pread(stream.fileno(), name, *place) for name, place in index.documents.items()}
        for name in (LAYOUT_NAME, INDEX_NAME):
            if name not in documents:
                raise absent(name)
        check_layout(documents[LAYOUT_NAME])
        blobs = TarBlobs(stream.fileno(), index.blobs)
        yield OpenBundle(blobs, documents[INDEX_NAME], stored, documents[LAYOUT_NAME])


def _open_folder(folder: Path) -> OpenBundle:
    for name in ("blobs", "blobs/sha256"):
        if (folder / name).is_symlink() or not (folder / name).is_dir():
            raise MalformedError(f"{folder} is no bundle: {name} is missing, or no folder")
    layout_bytes = _read_document(folder, LAYOUT_NAME, _LAYOUT_BYTES)
    check_layout(layout_bytes)
    index_bytes = _read_document(folder, INDEX_NAME, MOST_INDEX_BYTES)
    for place, allowed in ((folder, {LAYOUT_NAME, INDEX_NAME, "blobs"}), (folder / "blobs", {"sha256"})):
        for name in _names(place):
            if name not in allowed:
                raise MalformedError(f"{folder} holds {name[:120]!r}, which is no part of a bundle")
    return OpenBundle(FolderBlobs(folder), index_bytes, _stored(folder / "blobs" / "sha256"), layout_bytes)


def _stored(folder: Path) -> Mapping[str, int]:
    """Size of each blob; whatever else lies among them is refused."""
    stored = {}
    for name in _names(folder):
        if not _HEX.fullmatch(name):
            raise MalformedError(f"blobs/sha256 holds {name[:120]!r}, which is no sha256")
        with open_regular(folder / name, what=f"blob sha256:{name}") as stream:
            stored[name] = os.fstat(stream.fileno()).st_size
    return stored


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_MEMBERS:
                    raise MalformedError(f"{folder} has more than {MOST_MEMBERS} entries")
                yield entry.name
    except OSError as error:
        raise unreadable(str(folder), error) from error


def _read_document(folder: Path, name: str, limit_bytes: int) -> bytes:
    with open_regular(folder / name, what=name) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise MalformedError(f"{name} has more than {limit_bytes} bytes")
    return data


def _pread(descriptor: int, name: str, offset: int, size: int) -> bytes:
    limit_bytes = _LAYOUT_BYTES if name == LAYOUT_NAME else MOST_INDEX_BYTES
    if size > limit_bytes:
        raise MalformedError(f"{name} has {size} bytes; at most {limit_bytes} are allowed")
    return os.pread(descriptor, size, offset)
