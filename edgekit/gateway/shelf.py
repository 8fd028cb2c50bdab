"""Shelf: what a machine gives out, under the names that others ask for it by.

Nothing is found by looking into a folder: what was not put on the shelf does not exist, and what is on it cannot be
listed. Blobs are found by their sha256, by the CID of each of their blocks in IPFS, and by that of the whole.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

from edgekit.addressing.cid import RAW, Cid
from edgekit.addressing.unixfs import CHUNK_BYTES
from edgekit.errors import DigestError, InputError
from edgekit.gateway.stored import Content, GoneError, Held, Part, StoredFile
from edgekit.transport.names import check_name
from edgekit.types.blob import Blob

PLACES = ("metadata", "targets", "torrents", "proofs", "log")
"""First segments of the names that a channel's files have, blobs apart."""
BLOBS = "blobs/sha256/"
LARGEST_HELD_BYTES = 2**24
"""Of what is kept in memory under one name."""


class Shelf:
    """Contents by name. May be changed while a gateway gives them out, from any thread.

    A transfer that is under way when its content is taken off the shelf goes on to its end: it has the same bytes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: dict[str, Held] = {}
        self._blobs: dict[str, StoredFile | Held] = {}
        self._blocks: dict[Cid, dict[str, Content]] = {}  # CID -> sha256 of a blob -> that block of it
        self._faults: dict[str, str] = {}

    @property
    def faults(self) -> Mapping[str, str]:
        """sha256 of a blob that was taken off, since its file was changed or removed -> what was seen."""
        with self._lock:
            return dict(self._faults)

    def put_file(self, blob: Blob, path: Path) -> None:
        """Give a file out, under its sha256 and in IPFS; it is read whole first.

        Args:
            blob: What the file holds. Where it is on the shelf already, this file takes the other one's place.
            path: The file itself, no link. It need not stay as it is: what is not the blob is not given out.

        Raises:
            DigestError: The file holds something else, or cannot be read; the shelf is as it was.
            MalformedError: The blob's digest is none.
        """
        stored = StoredFile(blob, path)
        blocks: dict[Cid, Content] = {cid: Held(node) for cid, node in stored.nodes.items()}
        for number, digest in enumerate(stored.leaves):
            span = Part(stored, number * CHUNK_BYTES, min((number + 1) * CHUNK_BYTES, stored.size_bytes))
            blocks[Cid(RAW, digest)] = span
        self._put_blob(blob.sha256, stored, blocks)

    def put_bytes(self, name: str, data: bytes) -> None:
        """Give some bytes out, from memory; they take the place of those that had the name.

        Args:
            name: A file of a channel: "metadata/...", "targets/...", "torrents/...", "proofs/...", "log/...", or
                "blobs/sha256/<hex>", which up to 1 MiB is in IPFS too.
            data: At most 16 MiB.

        Raises:
            MalformedError: It is no name.
            InputError: No file of a channel has that name, or there are too many bytes.
            DigestError: The name is that of another blob.
        """
        place, _, rest = check_name(name).partition("/")
        if not rest or (place not in PLACES and not name.startswith(BLOBS)):
            raise InputError(f"a gateway gives out no {name[:80]!r}", hint=f"but {', '.join(PLACES)} and {BLOBS}...")
        if len(data) > LARGEST_HELD_BYTES:
            raise InputError(f"{name} has {len(data)} bytes; at most {LARGEST_HELD_BYTES} are kept in memory")
        held = Held(data)
        if not name.startswith(BLOBS):
            with self._lock:
                self._named[name] = held
            return
        found = hashlib.sha256(data)
        if found.hexdigest() != name.removeprefix(BLOBS):
            raise DigestError(f"{name} cannot be given out: its bytes have the sha256 {found.hexdigest()}")
        blocks: dict[Cid, Content] = {Cid(RAW, found.digest()): held} if len(data) <= CHUNK_BYTES else {}
        self._put_blob(found.hexdigest(), held, blocks)

    def remove(self, blob: Blob) -> None:
        """Take a blob off the shelf, if it is there."""
        with self._lock:
            self._take_off(blob.sha256)
            self._faults.pop(blob.sha256, None)

    def remove_name(self, name: str) -> None:
        """Take what has a name off the shelf, if it is there."""
        with self._lock:
            self._named.pop(name, None)
            if name.startswith(BLOBS):
                self._take_off(name.removeprefix(BLOBS))

    def named(self, name: str) -> Held | None:
        """What has a name, blobs apart."""
        with self._lock:
            return self._named.get(name)

    def blob(self, sha256: str) -> Content | None:
        """A blob by its sha256, lower-case hex."""
        with self._lock:
            return self._blobs.get(sha256)

    def block(self, cid: Cid) -> Content | None:
        """A block by its CID."""
        with self._lock:
            return next(iter(self._blocks.get(cid, {}).values()), None)

    def withdraw(self, error: GoneError) -> None:
        """Take off a file that turned out to be gone or changed, and remember why."""
        sha256 = error.file.blob.sha256
        with self._lock:
            if self._blobs.get(sha256) is error.file:
                self._take_off(sha256)
                self._faults[sha256] = str(error)

    def _put_blob(self, sha256: str, content: StoredFile | Held, blocks: Mapping[Cid, Content]) -> None:
        with self._lock:
            self._take_off(sha256)
            self._faults.pop(sha256, None)
            self._blobs[sha256] = content
            for cid, block in blocks.items():
                self._blocks.setdefault(cid, {})[sha256] = block

    def _take_off(self, sha256: str) -> None:
        content = self._blobs.pop(sha256, None)
        if isinstance(content, StoredFile):
            cids = [*content.nodes, *(Cid(RAW, digest) for digest in content.leaves)]
        else:
            cids = [Cid(RAW, bytes.fromhex(sha256))] if content else []
        for cid in cids:
            self._blocks.get(cid, {}).pop(sha256, None)
            if cid in self._blocks and not self._blocks[cid]:
                del self._blocks[cid]
