"""Blobs made of seeded noise, with their bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import sha256

from edgekit.types.blob import Blob, Pieces, piece_length

MIB = 2**20


@dataclass(frozen=True)
class Noise:
    """A blob and its bytes."""

    blob: Blob
    data: bytes

    @property
    def files(self) -> dict[str, bytes]:
        """What a source of it has."""
        return {self.blob.file_name: self.data}


def noise(size_bytes: int, *, seed: int = 0, length_bytes: int | None = None) -> Noise:
    """A blob of so many bytes, with the digests of its pieces where it has several.

    Args:
        size_bytes: How many.
        seed: Another seed, other bytes.
        length_bytes: Of a piece; as `piece_length` has it when None.
    """
    source, part = random.Random(seed), 64 * MIB  # `randbytes` makes no more than 256 MiB at once
    data = b"".join(source.randbytes(min(part, size_bytes - begin)) for begin in range(0, size_bytes, part))
    length = length_bytes or piece_length(size_bytes)
    pieces = None
    if size_bytes > length:
        spans = range(0, size_bytes, length)
        pieces = Pieces(length, tuple(sha256(data[begin : begin + length]).hexdigest() for begin in spans))
    return Noise(Blob(sha256(data).hexdigest(), size_bytes, pieces), data)
