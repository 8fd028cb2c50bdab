"""Inventory: the files that go into a bundle, each with its role, digests and addresses, and where its bytes are."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgekit.addressing.addressing import address_stream
from edgekit.addressing.parts import Parts
from edgekit.addressing.unixfs import CHUNK_BYTES
from edgekit.errors import InputError
from edgekit.types.blob import Pieces, piece_length
from edgekit.types.manifest import BundleFile, Role

_MEDIA_TYPES = {
    "onnx": "application/vnd.onnx",
    "data": "application/octet-stream",
    "tflite": "application/vnd.tflite",
    "npz": "application/vnd.numpy.npz",
    "md": "text/markdown",
    "toml": "application/toml",
    "json": "application/json",
}


@dataclass(frozen=True)
class Stored:
    """One file to be packed.

    Attributes:
        file: As the manifest lists it.
        source: Its bytes, or the file that holds them.
    """

    file: BundleFile
    source: bytes | Path


def store_bytes(path: str, role: Role, data: bytes, *, media_type: str = "") -> Stored:
    """A file that was made in memory.

    Args:
        path: In the bundle.
        role: What it is for.
        data: Its bytes.
        media_type: "" takes that of the path.
    """
    file = _described(io.BytesIO(data), len(data), path, role, media_type or media_type_of(path))
    return Stored(file, data)


def store_file(path: str, role: Role, source: Path) -> Stored:
    """A file on disk, read once for all its digests.

    Args:
        path: In the bundle.
        role: What it is for.
        source: The file.

    Raises:
        InputError: It cannot be read, is empty, or changes meanwhile.
        MalformedError: It is larger than 1 TiB.
    """
    try:
        with source.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not size:
                raise InputError(f"{source} is empty")
            return Stored(_described(stream, size, path, role, media_type_of(path)), source)
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from error


def _described(stream: BinaryIO, size: int, path: str, role: Role, media_type: str) -> BundleFile:
    if not size:  # no torrent can be made of nothing, and nothing needs to be fetched
        return BundleFile(path, role, media_type, 0, hashlib.sha256().hexdigest())
    length = piece_length(size)
    parts = Parts(length)
    # Pieces as long as the chunks of IPFS have the digests of these.
    found = address_stream(stream, size, beside=parts.update if length != CHUNK_BYTES else None)
    addresses = found.finish()
    digests = found.dag.leaves if length == CHUNK_BYTES else parts.finish()
    pieces = Pieces(length, tuple(each.hex() for each in digests)) if len(digests) > 1 else None
    return BundleFile(path, role, media_type, size, found.sha256, pieces, addresses)


def media_type_of(path: str) -> str:
    """What kind of file a path names.

    >>> media_type_of("model.int8.tflite"), media_type_of("LICENSE")
    ('application/vnd.tflite', 'text/plain')
    """
    return _MEDIA_TYPES.get(path.rpartition(".")[2], "text/plain")
