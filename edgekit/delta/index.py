"""The delta index: which files of a release can be had as a change to another file, and by which delta.

It is canonical JSON under the schema "edgekit.deltas/1", a TUF target of its own, `FAMILY/NAME+deltas.json`, which the
family signs together with the release. Nobody has to read it: whatever is wrong with it or with a delta, the file
itself is fetched. It is open: fields that are not known, and codecs that are not, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MalformedError
from edgekit.types.blob import Blob, Pieces, check_sha256, piece_length
from edgekit.types.strict_json import canonical, read_canonical

SCHEMA = "edgekit.deltas/1"
LARGEST_INDEX_BYTES = 256 * 1024
MOST_DELTAS = 512
LARGEST_DELTA_BYTES = 2**28
LARGEST_MEMORY_BYTES = 2**32
_CODEC = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Delta:
    """One file as a change to another.

    Attributes:
        base: sha256 of the file that one must have, lower-case hex; "from" in the index.
        target: sha256 of the file that comes out; "to" in the index.
        codec: See `edgekit.delta.codecs`.
        sha256: Of the delta itself: a blob of the channel.
        size_bytes: Of the delta.
        memory_bytes: What applying it takes at most, the program itself apart.
        pieces: Digests of its pieces where it is larger than one.
    """

    base: str
    target: str
    codec: str
    sha256: str
    size_bytes: int
    memory_bytes: int
    pieces: Pieces | None = None

    @property
    def blob(self) -> Blob:
        """Its bytes."""
        return Blob(self.sha256, self.size_bytes, self.pieces)


def write_index(deltas: Iterable[Delta]) -> bytes:
    """The index of these, sorted: the same deltas give the same bytes."""
    listed = sorted(deltas, key=lambda delta: (delta.target, delta.base, delta.codec, delta.sha256))
    return canonical({"schema": SCHEMA, "deltas": [_to_plain(delta) for delta in listed]})


def read_index(data: bytes) -> tuple[Delta, ...]:
    """The deltas of an index.

    Raises:
        MalformedError: It is none, or says something that cannot be.

    Law: read_index(write_index(deltas)) == the same, sorted
    """
    found = read_canonical(data, where="the delta index", limit_bytes=LARGEST_INDEX_BYTES)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise MalformedError(f"the delta index is not of the schema {SCHEMA}")
    listed = found.get("deltas")
    if not isinstance(listed, list) or len(listed) > MOST_DELTAS:
        raise MalformedError(f"the delta index has no list of at most {MOST_DELTAS} deltas")
    return tuple(_from_plain(each, f"delta {number} of the index") for number, each in enumerate(listed))


def choose_delta(
    deltas: Iterable[Delta], *, bases: Collection[str], target: str, codecs: Collection[str]
) -> Delta | None:
    """The smallest delta that makes `target` of a file that is there, by a codec that is there; None without any."""
    fitting = [each for each in deltas if each.target == target and each.base in bases and each.codec in codecs]
    return min(fitting, key=lambda delta: (delta.size_bytes, delta.sha256), default=None)


def _to_plain(delta: Delta) -> dict[str, Any]:
    pieces = delta.pieces
    return {
        "from": delta.base,
        "to": delta.target,
        "codec": delta.codec,
        "sha256": delta.sha256,
        "size_bytes": delta.size_bytes,
        "memory_bytes": delta.memory_bytes,
        "pieces": pieces and {"length_bytes": pieces.length_bytes, "sha256": list(pieces.sha256)},
    }


def _from_plain(found: Any, where: str) -> Delta:
    if not isinstance(found, Mapping):
        raise MalformedError(f"{where} is no JSON object")
    codec = found.get("codec")
    if not isinstance(codec, str) or not _CODEC.fullmatch(codec):
        raise MalformedError(f"{where}: codec is no name of one: {str(codec)[:80]!r}")
    size_bytes = _number(found.get("size_bytes"), LARGEST_DELTA_BYTES, f"{where}: size_bytes")
    return Delta(
        _sha256(found.get("from"), f"{where}: from"),
        _sha256(found.get("to"), f"{where}: to"),
        codec,
        _sha256(found.get("sha256"), f"{where}: sha256"),
        size_bytes,
        _number(found.get("memory_bytes"), LARGEST_MEMORY_BYTES, f"{where}: memory_bytes"),
        _pieces(found.get("pieces"), size_bytes, f"{where}: pieces"),
    )


def _pieces(found: Any, size_bytes: int, where: str) -> Pieces | None:
    """Its pieces, of the one length that a blob of this size has."""
    if found is None:
        return None
    length_bytes = piece_length(size_bytes)
    listed = found.get("sha256") if isinstance(found, Mapping) else None
    needed = -(-size_bytes // length_bytes)
    if not isinstance(listed, list) or found.get("length_bytes") != length_bytes or len(listed) != needed:
        raise MalformedError(f"{where} are not the {needed} digests of pieces of {length_bytes} bytes")
    return Pieces(length_bytes, tuple(_sha256(each, where) for each in listed))


def _sha256(found: Any, where: str) -> str:
    return check_sha256(found if isinstance(found, str) else "", where=where)


def _number(found: Any, limit: int, where: str) -> int:
    if type(found) is not int or not 1 <= found <= limit:
        raise MalformedError(f"{where} is no number from 1 to {limit}: {str(found)[:80]!r}")
    return found
