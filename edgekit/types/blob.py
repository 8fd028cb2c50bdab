"""Blob: some bytes by their sha256, and Descriptor: the same with a media type, as OCI manifests name one another.

A blob's address does not say where it is: every source of a channel keeps it as the file `blobs/sha256/<hex>`, and
whoever fetches it holds the bytes against the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.errors import MalformedError

_SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST_BYTES = 2**40
"""No blob is larger, 1 TiB: a bound on what a number in a file can make us allocate or wait for."""
SMALLEST_PIECE_BYTES = 2**20
MOST_PIECES = 64


@dataclass(frozen=True)
class Pieces:
    """Digests of a blob's consecutive pieces, so that a source that lies is caught within one piece.

    Attributes:
        length_bytes: Of every piece but the last, which may be shorter: a power of two, at least 1 MiB.
        sha256: Digest of each piece, lower-case hex, in order; at most 64.
    """

    length_bytes: int
    sha256: tuple[str, ...]


@dataclass(frozen=True)
class Addresses:
    """What else the same bytes are called, so that they can come from systems that know no sha256 of a whole file.

    Each follows from the bytes alone; `edgekit.addressing` computes them.

    Attributes:
        cid: IPFS: CIDv1 in base32 of the UnixFS file, in chunks of 1 MiB, at most 1024 links a node, raw leaves.
        pieces_root: BitTorrent v2 (BEP 52): root of the merkle tree over blocks of 16 KiB, lower-case hex.
        infohash: BitTorrent v2: sha256 of the info dictionary of this file's torrent, lower-case hex.
    """

    cid: str
    pieces_root: str
    infohash: str


@dataclass(frozen=True)
class Blob:
    """Some bytes.

    Attributes:
        sha256: Their digest, lower-case hex.
        size_bytes: How many.
        pieces: Digests of their pieces; None for those of one piece.
        addresses: What other systems call them; None where nobody signed that.
    """

    sha256: str
    size_bytes: int
    pieces: Pieces | None = None
    addresses: Addresses | None = None

    @property
    def file_name(self) -> str:
        """Where a source keeps it, below its URL; the place OCI image layouts give it."""
        return f"blobs/sha256/{self.sha256}"


@dataclass(frozen=True)
class Descriptor:
    """A blob with its media type: what OCI's image specification calls a content descriptor.

    Attributes:
        media_type: For example "application/vnd.oci.image.manifest.v1+json".
        sha256: Digest of the content, lower-case hex.
        size_bytes: Of the content.
        annotations: Text by key.
    """

    media_type: str
    sha256: str
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """As OCI writes it: "sha256:" and hex."""
        return f"sha256:{self.sha256}"

    @property
    def blob(self) -> Blob:
        """The bytes that it describes."""
        return Blob(self.sha256, self.size_bytes)


def piece_length(size_bytes: int) -> int:
    """Bytes of each piece of a blob: 1 MiB, doubled until at most 64 pieces make up the whole.

    >>> piece_length(5_000_000), piece_length(2**30)
    (1048576, 16777216)
    """
    length = SMALLEST_PIECE_BYTES
    while length * MOST_PIECES < size_bytes:
        length *= 2
    return length


def check_sha256(text: str, *, where: str) -> str:
    """A sha256 as 64 lower-case hex digits.

    Raises:
        MalformedError: It is something else.
    """
    if not _SHA256.fullmatch(text):
        raise MalformedError(f"{where} is no sha256 of 64 lower-case hex digits: {text[:80]!r}")
    return text


def check_size(size_bytes: int, *, where: str) -> int:
    """A size of 0 bytes to 1 TiB.

    Raises:
        MalformedError: It is something else.
    """
    if not 0 <= size_bytes <= LARGEST_BYTES:
        raise MalformedError(f"{where} is no size of 0 to {LARGEST_BYTES} bytes: {size_bytes}")
    return size_bytes
