"""Where the blobs of a bundle lie in its tar file, found without unpacking anything.

Headers are read one by one; what a bundle does not need is refused: links, devices, sparse files, extended headers
(which can rename or resize the next member), names outside the layout, and names that come twice. Python's `tarfile`
would read an extended header of any size into memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.errors import MalformedError
from edgekit.oci.layout import INDEX_NAME, LAYOUT_NAME
from edgekit.types.blob import check_size

BLOCK_BYTES = 512
MOST_MEMBERS = 4096
MOST_PADDING_BYTES = 2**20
"""Zeros after the last member: two blocks, and what fills up the record."""
_MEMBER = re.compile(rf"{INDEX_NAME}|{LAYOUT_NAME}|blobs/sha256/([0-9a-f]{{64}})")
_FOLDERS = (".", "blobs", "blobs/sha256")
_MAGICS = (b"ustar\x0000", b"ustar  \x00")
"""POSIX, and GNU before POSIX."""
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a pipe",
    b"S": "a sparse file", b"g": "an extended header", b"x": "an extended header", b"L": "a long name",
    b"K": "a long link name",
}  # fmt: skip


@dataclass(frozen=True)
class TarIndex:
    """Contents of a bundle's tar file.

    Attributes:
        documents: "index.json" and "oci-layout" -> offset and size of their content, in bytes.
        blobs: sha256 -> offset and size of the blob.
    """

    documents: Mapping[str, tuple[int, int]]
    blobs: Mapping[str, tuple[int, int]]


def index_tar(descriptor: int) -> TarIndex:
    """Read a tar file's headers.

    Args:
        descriptor: Of the open file; its position is neither used nor moved.

    Raises:
        MalformedError: It is no tar file, is cut short, or has a member that no bundle has; says which.
    """
    size_bytes = os.fstat(descriptor).st_size
    documents: dict[str, tuple[int, int]] = {}
    blobs: dict[str, tuple[int, int]] = {}
    offset = 0
    for _ in range(MOST_MEMBERS):
        header = os.pread(descriptor, BLOCK_BYTES, offset)
        if len(header) < BLOCK_BYTES:
            raise MalformedError("the tar file is cut short: it has no end", hint="fetch it again")
        if not any(header):
            _check_padding(descriptor, offset, size_bytes)
            return TarIndex(documents, blobs)
        name, size = _header(header)
        offset += BLOCK_BYTES
        if offset + size > size_bytes:
            raise MalformedError(f"the tar file is cut short in {name}", hint="fetch it again")
        member = _MEMBER.fullmatch(name)
        if member is None and not (name in _FOLDERS and size == 0 and header[156:157] == b"5"):
            raise MalformedError(f"the tar file holds {name[:120]!r}, which is no part of a bundle")
        if member:
            place, key = (blobs, member[1]) if member[1] else (documents, name)
            if header[156:157] == b"5":
                raise MalformedError(f"the tar file holds {name} as a folder")
            if key in place:
                raise MalformedError(f"the tar file holds {name} twice")
            place[key] = (offset, size)
        offset += -(-size // BLOCK_BYTES) * BLOCK_BYTES
    raise MalformedError(f"the tar file has more than {MOST_MEMBERS} members")


def _header(header: bytes) -> tuple[str, int]:
    """Name and size of a regular file or of a folder."""
    if header[257:265] not in _MAGICS:
        raise MalformedError("this is no bundle: neither a folder nor an uncompressed tar file (ustar)")
    if _checksum(header) != _octal(header[148:156], "checksum"):
        raise MalformedError("the tar file is damaged: the checksum of a header is wrong")
    kind = header[156:157]
    raw = header[0:100].rstrip(b"\0")
    if not raw.isascii() or b"\0" in raw:
        raise MalformedError(f"the tar file holds {raw[:120]!r}, which is no part of a bundle")
    name = raw.decode("ascii")
    if kind not in (b"0", b"\0", b"5"):
        raise MalformedError(f"the tar file holds {name[:120]!r} as {_KINDS.get(kind, f'something of type {kind!r}')}")
    if header[257:263] == b"ustar\0" and header[345:500].strip(b"\0"):
        raise MalformedError(f"the tar file holds {name[:120]!r} below another folder, which is no part of a bundle")
    size = _octal(header[124:136], f"size of {name[:120]}")
    name = name.removeprefix("./").rstrip("/") if kind == b"5" else name.removeprefix("./")
    return name or ".", check_size(size, where=f"the size of {name[:120]!r}")


def _checksum(header: bytes) -> int:
    """Sum of a header's bytes, its own field counted as blanks."""
    return sum(header[:148]) + 8 * 0x20 + sum(header[156:])


def _octal(field: bytes, what: str) -> int:
    digits = field.rstrip(b" \0").lstrip(b" ")
    if not digits or any(byte not in b"01234567" for byte in digits):
        raise MalformedError(f"the tar file's {what} is no octal number")
    return int(digits, 8)


def _check_padding(descriptor: int, offset: int, size_bytes: int) -> None:
    """Only zeros follow, and no more than a record's worth."""
    rest = size_bytes - offset
    if rest < 2 * BLOCK_BYTES or rest > MOST_PADDING_BYTES or any(os.pread(descriptor, rest, offset)):
        raise MalformedError("the tar file does not end where its last member ends", hint="fetch it again")
