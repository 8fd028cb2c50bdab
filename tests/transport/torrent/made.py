"""Blobs with addresses, and their torrents as libtorrent itself makes them: a second opinion on ours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import libtorrent as lt

from edgekit.addressing.addressing import addresses_of
from edgekit.addressing.torrent import piece_length_of
from edgekit.types.blob import Addresses, Blob, Pieces
from tests.transport.blobs import Noise, noise


def addressed(size_bytes: int, *, seed: int = 0) -> Noise:
    """Noise whose blob has addresses."""
    found = noise(size_bytes, seed=seed)
    return Noise(replace(found.blob, addresses=addresses_of(found.data)), found.data)


def stock_torrent(data: bytes, folder: Path, *, name: str | None = None, piece_length: int = 0) -> bytes:
    """A `.torrent` by libtorrent, of v1 and v2 at once; the file of that name lies in the folder then."""
    path = folder / (name or hashlib.sha256(data).hexdigest())
    path.write_bytes(data)
    creator = lt.create_torrent(lt.list_files(str(path)), piece_length or piece_length_of(len(data)))
    lt.set_piece_hashes(creator, str(folder))
    found = creator.generate()
    return bytes(lt.bencode({b"info": found[b"info"], b"piece layers": found[b"piece layers"]}))


def write_blob(blob: Blob) -> str:
    """A blob as JSON, for the command line of another process."""
    return json.dumps(asdict(blob))


def read_blob(text: str) -> Blob:
    """The blob again."""
    found = json.loads(text)
    pieces = found["pieces"] and Pieces(found["pieces"]["length_bytes"], tuple(found["pieces"]["sha256"]))
    return Blob(found["sha256"], found["size_bytes"], pieces, found["addresses"] and Addresses(**found["addresses"]))
