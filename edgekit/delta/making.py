"""Making a delta: every codec is tried, and the smallest that can really be applied is kept."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.delta.applying import apply_delta
from edgekit.delta.codecs import CODECS, LARGEST_BYTES, makers
from edgekit.delta.index import Delta
from edgekit.errors import MalformedError, MissingExtraError
from edgekit.types.blob import SMALLEST_PIECE_BYTES, Blob, Pieces, piece_length
from edgekit.types.progress import Progress, Silent

SMALLEST_BYTES = 2**14
"""Of a file: a smaller one is fetched as soon as its delta."""
WORTH = 0.9
"""Share of the file that a delta has at most; else it saves nothing that is worth a second way."""


@dataclass(frozen=True)
class MadeDelta:
    """A delta that was made, and applied once to see that it can be.

    Attributes:
        delta: As the index tells it.
        data: Its bytes.
        sizes: Codec -> bytes, of all that were tried.
    """

    delta: Delta
    data: bytes
    sizes: Mapping[str, int]


def best_delta(old: Path, new: Path, *, progress: Progress | None = None) -> MadeDelta | None:
    """The smallest delta that makes `new` of `old`.

    Takes memory for both files and, where `bsdiff4` is installed, for 17 times the old one.

    Args:
        old: The file that readers have.
        new: The file that they want.
        progress: Who watches; counts codecs.

    Returns:
        None where none is below nine tenths of `new`, where either file is too small or too large for a delta, or
        where no codec has anything to say.

    Raises:
        StorageError: There is no room for temporary files.
        OSError: A file cannot be read.
    """
    sizes = [path.stat().st_size for path in (old, new)]
    if min(sizes) < SMALLEST_BYTES or max(sizes) > LARGEST_BYTES:
        return None
    before, after = old.read_bytes(), new.read_bytes()
    tried = _try_all(before, after, progress or Silent())
    found = {name: len(data) for name, data in tried.items()}
    target = Blob(digest.of_bytes(after), len(after))
    for name, data in sorted(tried.items(), key=lambda item: (len(item[1]), item[0])):
        if len(data) > WORTH * len(after):
            return None
        delta = describe(data, codec=name, base=before, target=target)
        if _works(delta, data, old, target):
            return MadeDelta(delta, data, found)
    return None


def describe(data: bytes, *, codec: str, base: bytes, target: Blob) -> Delta:
    """A delta as the index tells it."""
    pieces = None
    if len(data) > SMALLEST_PIECE_BYTES:
        length = piece_length(len(data))
        parts = (data[start : start + length] for start in range(0, len(data), length))
        pieces = Pieces(length, tuple(hashlib.sha256(part).hexdigest() for part in parts))
    memory_bytes = CODECS[codec].memory(len(base), target.size_bytes, len(data))
    return Delta(digest.of_bytes(base), target.sha256, codec, digest.of_bytes(data), len(data), memory_bytes, pieces)


def _try_all(old: bytes, new: bytes, progress: Progress) -> dict[str, bytes]:
    """Codec -> its delta, of those that have one."""
    found: dict[str, bytes] = {}
    names = [name for name in CODECS if name in makers()]
    with progress.stage("delta", len(names)) as stage:
        for name in names:
            codec = CODECS[name]
            if max(len(old), len(new)) <= codec.largest_bytes and (data := codec.make(old, new)):
                found[name] = data
            stage.advance()
    return found


def _works(delta: Delta, data: bytes, old: Path, target: Blob) -> bool:
    """Whether readers can apply it, within the limits that it will have there."""
    with tempfile.TemporaryDirectory(prefix="edgekit.") as folder:
        patch, out = Path(folder, "delta"), Path(folder, "out")
        patch.write_bytes(data)
        try:
            apply_delta(delta, base=old, patch=patch, out=out, blob=target)
        except (MalformedError, MissingExtraError):
            return False
    return True
