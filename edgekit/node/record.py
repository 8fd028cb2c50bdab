"""Records: small files that a node keeps about itself, each with a checksum, so that a flipped bit is never believed.

    {"record": {...}, "sha256": "<of the record's canonical JSON>"}

The whole file is canonical JSON (RFC 8785). The checksum is against decay, not against people: whoever may write to
the folder may write another one. What must not be believed of anyone is signed (`model.sig`, receipts).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from edgekit import digest
from edgekit.errors import InputError, MalformedError
from edgekit.node.disk import Disk, save
from edgekit.types.plain import from_plain, to_plain
from edgekit.types.strict_json import canonical, read_canonical

T = TypeVar("T")
LARGEST_BYTES = 1_000_000


def save_record(disk: Disk, path: Path, record: object) -> None:
    """Write a dataclass of plain fields.

    Raises:
        StorageError: The system refuses.
    """
    plain = to_plain(record)
    save(disk, path, canonical({"record": plain, "sha256": digest.of_bytes(canonical(plain))}))


def read_record(kind: type[T], path: Path) -> T | None:
    """The record in a file; None where there is no such file.

    Raises:
        MalformedError: It is damaged; says how.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MalformedError(f"{path} cannot be read: {error.strerror}") from error
    found: Any = read_canonical(data, where=str(path), limit_bytes=LARGEST_BYTES)
    if not isinstance(found, dict) or set(found) != {"record", "sha256"}:
        raise MalformedError(f"{path} is no record of a node")
    if digest.of_bytes(canonical(found["record"])) != found["sha256"]:
        raise MalformedError(f"{path} is damaged: its checksum does not fit")
    try:
        return from_plain(kind, found["record"], where=str(path))
    except InputError as error:
        raise MalformedError(str(error)) from error
