"""Inventory: the files that go into a bundle, each with its role, its digest, and where its bytes are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.errors import InputError
from edgekit.types.blob import Pieces, piece_length
from edgekit.types.manifest import BundleFile, Role

_CHUNK_BYTES = 2**20
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
    length = piece_length(len(data))
    parts = tuple(digest.of_bytes(data[start : start + length]) for start in range(0, len(data), length))
    pieces = Pieces(length, parts) if len(parts) > 1 else None
    file = BundleFile(path, role, media_type or media_type_of(path), len(data), digest.of_bytes(data), pieces)
    return Stored(file, data)


def store_file(path: str, role: Role, source: Path) -> Stored:
    """A file on disk, read once, whole and in pieces at the same time.

    Args:
        path: In the bundle.
        role: What it is for.
        source: The file.

    Raises:
        InputError: It cannot be read, or is empty.
    """
    whole, parts, size = hashlib.sha256(), list[str](), 0
    try:
        length = piece_length(source.stat().st_size)
        with source.open("rb") as stream:
            piece, room = hashlib.sha256(), length
            while chunk := stream.read(min(_CHUNK_BYTES, room)):
                whole.update(chunk)
                piece.update(chunk)
                size, room = size + len(chunk), room - len(chunk)
                if not room:
                    parts.append(piece.hexdigest())
                    piece, room = hashlib.sha256(), length
            if room < length:
                parts.append(piece.hexdigest())
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from error
    if not size:
        raise InputError(f"{source} is empty")
    pieces = Pieces(length, tuple(parts)) if len(parts) > 1 else None
    return Stored(BundleFile(path, role, media_type_of(path), size, whole.hexdigest(), pieces), source)


def media_type_of(path: str) -> str:
    """What kind of file a path names.

    >>> media_type_of("model.int8.tflite"), media_type_of("LICENSE")
    ('application/vnd.tflite', 'text/plain')
    """
    return _MEDIA_TYPES.get(path.rpartition(".")[2], "text/plain")
