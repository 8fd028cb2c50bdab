"""Torrents: one file each, for BitTorrent v1 and v2 at once (BEP 3, BEP 52), with nothing in them but what must be.

The info dictionary follows from a file's bytes and its name, which for a file of a bundle is its sha256 in hex. So
everybody who has the file makes the same torrent, and the infohash can stand in a signed manifest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.addressing import bencode
from edgekit.addressing.merkle import BLOCK_BYTES, DIGEST_BYTES, PiecesRoot, levels_of, root_of_layer
from edgekit.addressing.parts import Parts, sha1
from edgekit.errors import DigestError, MalformedError, StorageError
from edgekit.types.blob import LARGEST_BYTES, Blob

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST_PIECES = 1024
SHORTEST_PIECE_BYTES, LONGEST_PIECE_BYTES = 2**15, 2**24
"""Not of 16 KiB: where a piece is a single block, libtorrent 2.1 takes honest peers for liars once it met a liar."""
LARGEST_TORRENT_BYTES = 2**23
"""Of a .torrent: 52 bytes for each of the 65,536 pieces that 1 TiB has, and room for trackers."""
_SHA1_BYTES = 20
_READ_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


@dataclass(frozen=True)
class Torrent:
    """What a torrent says of its file.

    Attributes:
        name: Of the file: the sha256 in hex of one that belongs to a bundle.
        size_bytes: Its size, at least 1.
        piece_length: Bytes of a piece: a power of two of at least 32 KiB.
        pieces: SHA-1 of each piece one behind the other, for v1.
        pieces_root: Root of the tree over its blocks, 32 bytes.
        piece_layer: Digests of the tree's nodes that cover a piece each, one behind the other; empty where there is one
            piece, or where they are not known yet.
    """

    name: str
    size_bytes: int
    piece_length: int
    pieces: bytes
    pieces_root: bytes
    piece_layer: bytes = b""

    @property
    def info(self) -> bytes:
        """The info dictionary."""
        name = self.name.encode("ascii")
        return bencode.encode(
            {
                b"file tree": {name: {b"": {b"length": self.size_bytes, b"pieces root": self.pieces_root}}},
                b"length": self.size_bytes,
                b"meta version": 2,
                b"name": name,
                b"piece length": self.piece_length,
                b"pieces": self.pieces,
            }
        )

    @property
    def infohash(self) -> str:
        """BitTorrent v2: sha256 of the info dictionary, lower-case hex."""
        return hashlib.sha256(self.info).hexdigest()

    @property
    def infohash_v1(self) -> str:
        """BitTorrent v1: SHA-1 of the info dictionary, lower-case hex."""
        return sha1(self.info).hexdigest()

    @property
    def piece_count(self) -> int:
        """How many pieces."""
        return -(-self.size_bytes // self.piece_length)


def torrent_file(sha256: str) -> str:
    """Where whoever gives out a file gives out its torrent, below their URL.

    >>> torrent_file("ab12")
    'torrents/ab12.torrent'
    """
    return f"torrents/{sha256}.torrent"


class TorrentBuilder:
    """Makes the torrent of a file while its bytes stream by.

    Args:
        size_bytes: Its size.

    Raises:
        MalformedError: It is empty, which no torrent can be, or larger than 1 TiB.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._length = piece_length_of(size_bytes)
        self._pieces = Parts(self._length, sha1)
        self.tree = PiecesRoot(self._length)

    def update(self, chunk: ReadableBuffer) -> None:
        """Take the next bytes."""
        self.update_v1(chunk)
        self.tree.update(chunk)

    def update_v1(self, chunk: ReadableBuffer) -> None:
        """Take the next bytes for v1 only, by whoever gives them to `tree` itself, perhaps at the same time."""
        self._pieces.update(chunk)

    def finish(self, name: str) -> Torrent:
        """The torrent.

        Args:
            name: Of the file: letters, digits and "._+-", not a dot first.

        Raises:
            MalformedError: The name is another.
        """
        root = self.tree.finish()
        pieces = b"".join(self._pieces.finish())
        return _checked(Torrent(name, self._size, self._length, pieces, root, self.tree.piece_layer))


def piece_length_of(size_bytes: int) -> int:
    """Bytes of a piece of a file's torrent: 32 KiB, doubled until there are at most 1024, but never above 16 MiB.

    Raises:
        MalformedError: No torrent can be made of so many bytes.

    >>> piece_length_of(5_000_000), piece_length_of(2**30)
    (32768, 1048576)
    """
    if not 0 < size_bytes <= LARGEST_BYTES:
        raise MalformedError(f"a torrent has 1 to {LARGEST_BYTES} bytes, not {size_bytes}")
    length = SHORTEST_PIECE_BYTES
    while length * MOST_PIECES < size_bytes and length < LONGEST_PIECE_BYTES:
        length *= 2
    return length


def make_torrent(data: bytes, name: str) -> Torrent:
    """The torrent of some bytes.

    Args:
        data: The bytes.
        name: See `TorrentBuilder.finish`.

    Raises:
        MalformedError: There are none, or the name is not allowed.
    """
    builder = TorrentBuilder(len(data))
    builder.update(data)
    return builder.finish(name)


def torrent_of_file(path: Path, blob: Blob) -> Torrent:
    """The torrent of a blob, from its file.

    Args:
        path: The file, of any name.
        blob: With the addresses that somebody signed.

    Raises:
        DigestError: The file holds something else, or somebody signed another infohash, or none.
        StorageError: It cannot be read.
        MalformedError: No torrent can be made of so many bytes.
    """
    builder, size_bytes = TorrentBuilder(blob.size_bytes), 0
    try:
        with path.open("rb") as file:
            while size_bytes <= blob.size_bytes and (chunk := file.read(_READ_BYTES)):
                size_bytes += len(chunk)
                builder.update(chunk)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    signed = blob.addresses.infohash if blob.addresses else ""
    if size_bytes == blob.size_bytes and (torrent := builder.finish(blob.sha256)).infohash == signed:
        return torrent
    raise DigestError(f"{path} does not have the infohash that was signed for blob {blob.sha256[:12]}")


def write_torrent(torrent: Torrent, *, trackers: Sequence[str] = (), webseeds: Sequence[str] = ()) -> bytes:
    """The bytes of a `.torrent`.

    Args:
        torrent: What it says of its file.
        trackers: URLs of those to announce to; all are asked at once (BEP 12).
        webseeds: URLs of the file on servers that know ranges (BEP 19).

    Law: read_torrent(write_torrent(torrent), blob=blob) == torrent.
    """
    layers = {torrent.pieces_root: torrent.piece_layer} if torrent.piece_layer else {}
    value: dict[bytes, bencode.Value] = {b"info": bencode.decode(torrent.info, where="info", limit_bytes=2**23)}
    value[b"piece layers"] = layers
    if trackers:
        value[b"announce"] = trackers[0].encode()
    if len(trackers) > 1:
        value[b"announce-list"] = [[url.encode() for url in trackers]]
    if webseeds:
        value[b"url-list"] = [url.encode() for url in webseeds]
    return bencode.encode(value)


def read_torrent(data: bytes, *, blob: Blob) -> Torrent:
    """The torrent of a blob, from a `.torrent`; trackers and web seeds that it names are left out.

    Args:
        data: The file, from anybody.
        blob: With the addresses that somebody signed.

    Raises:
        MalformedError: It is no torrent of one file whose name is its sha256; or the blob has no addresses.
        DigestError: It is the torrent of something else.
    """
    where = f"the torrent of sha256:{blob.sha256}"
    value = bencode.decode(data, where=where, limit_bytes=LARGEST_TORRENT_BYTES)
    if not isinstance(value, dict) or not isinstance(value.get(b"info"), dict):
        raise MalformedError(f"{where} has no info dictionary")
    torrent = read_info(bencode.encode(value[b"info"]), blob=blob)
    layers = value.get(b"piece layers")
    if not isinstance(layers, dict):
        raise MalformedError(f"{where} has no piece layers: it is one of v1 alone")
    if torrent.piece_count == 1:
        if layers:
            raise MalformedError(f"{where} has a piece layer for a file of one piece")
        return torrent
    layer = layers.get(torrent.pieces_root)
    if len(layers) != 1 or not isinstance(layer, bytes) or len(layer) != torrent.piece_count * DIGEST_BYTES:
        raise MalformedError(f"{where} does not have the one layer of {torrent.piece_count} pieces that it must have")
    digests = [layer[at : at + DIGEST_BYTES] for at in range(0, len(layer), DIGEST_BYTES)]
    if root_of_layer(digests, levels_of(torrent.piece_length // BLOCK_BYTES)) != torrent.pieces_root:
        raise DigestError(f"{where} has a piece layer that does not lead to its root")
    return Torrent(torrent.name, torrent.size_bytes, torrent.piece_length, torrent.pieces, torrent.pieces_root, layer)


def read_info(data: bytes, *, blob: Blob) -> Torrent:
    """The torrent of a blob, from its info dictionary alone, as peers send it (BEP 9).

    Args:
        data: The info dictionary, from anybody.
        blob: With the addresses that somebody signed.

    Raises:
        MalformedError: It is none of one file whose name is its sha256; or the blob has no addresses.
        DigestError: It is that of something else.
    """
    where = f"the torrent of sha256:{blob.sha256}"
    if blob.addresses is None:
        raise MalformedError(f"{where} cannot be known: nobody signed an infohash", hint="an older edgekit packed it")
    infohash = hashlib.sha256(data).hexdigest()
    if infohash != blob.addresses.infohash:
        raise DigestError(f"{where} has the infohash {infohash}, not {blob.addresses.infohash}")
    info = bencode.decode(data, where=where, limit_bytes=LARGEST_TORRENT_BYTES)
    pieces = info.get(b"pieces") if isinstance(info, dict) else None
    if not isinstance(pieces, bytes):
        raise MalformedError(f"{where} is none of v1 and v2 at once")
    root = bytes.fromhex(blob.addresses.pieces_root)
    torrent = _checked(Torrent(blob.sha256, blob.size_bytes, piece_length_of(blob.size_bytes), pieces, root))
    if torrent.info != data:
        raise MalformedError(f"{where} says something else of its file than its name, size, pieces and root")
    return torrent


def _checked(torrent: Torrent) -> Torrent:
    if not _NAME.fullmatch(torrent.name):
        raise MalformedError(f"a torrent's file cannot be called {torrent.name[:80]!r}")
    if len(torrent.pieces) != torrent.piece_count * _SHA1_BYTES:
        raise MalformedError(
            f"a torrent of {torrent.size_bytes} bytes has {torrent.piece_count} pieces, not {len(torrent.pieces)} bytes"
        )
    return torrent
