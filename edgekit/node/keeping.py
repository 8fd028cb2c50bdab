"""Keeping: the folder `share/`, what a node has for others beside its own release.

    share/blobs/<sha256>     files of slots, by hard links, and what is kept for others
    share/parts/<sha256>     what is not whole yet
    share/kept.json          what is kept, for which release, since when
    share/metadata, log      roots of the channel, and hashes of the log, that lead from what others know to the newest

A name in `blobs` is the digest of the file, and a file is hashed before it is given out: at each start, whenever it
was touched, and now and then. So nothing here has to survive a power cut; what is wrong is thrown away. A slot's file
that is replaced goes on being the same file here until this lets go of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.errors import MalformedError, StorageError
from edgekit.node.disk import Disk, adopt, clear, make_folders
from edgekit.node.folder import NodeFolder
from edgekit.node.record import read_record, save_record
from edgekit.node.stamp import Stamp
from edgekit.transport.fetch import Sources
from edgekit.types.blob import Blob
from edgekit.types.progress import Progress

SCHEMA = "edgekit.share/1"
LINK_SUFFIX = ".link"
MOST_KEPT = 1024
"""Files that are kept, documents apart: the ledger is written whole for each."""


@dataclass(frozen=True)
class Kept:
    """A blob that is kept for others.

    Attributes:
        blob: Which.
        release: sha256 of the release index that it was kept for.
        version: Of that release.
        since: When it came, ISO 8601.
        is_document: One of the release's own small documents, without which nobody can find the rest.
    """

    blob: Blob
    release: str
    version: int
    since: str
    is_document: bool


@dataclass(frozen=True)
class Ledger:
    """`share/kept.json`.

    Attributes:
        kept: In the order in which they came.
        schema: Always SCHEMA.
    """

    kept: tuple[Kept, ...] = ()
    schema: str = SCHEMA


class Share:
    """The folder `share/` of a node; of one process, which holds its lock. May be used from several threads."""

    def __init__(self, folder: NodeFolder, disk: Disk) -> None:
        """Use it; `prepare` makes it."""
        self.path = folder.share
        self._folder = folder
        self._disk = disk
        self._ledger = Ledger()
        self._lock = threading.RLock()

    @property
    def kept(self) -> Mapping[str, Kept]:
        """sha256 -> what is kept."""
        return {item.blob.sha256: item for item in self._ledger.kept}

    def has(self, blob: Blob) -> bool:
        """Whether a blob is kept, as far as can be told without hashing it."""
        found = Stamp.of(self.place(blob.sha256))
        return blob.sha256 in self.kept and found is not None and found.size_bytes == blob.size_bytes

    def place(self, sha256: str) -> Path:
        """Where a blob lies here."""
        return self.path / "blobs" / sha256

    @property
    def roots(self) -> Path:
        """Folder of the channel's roots between the node's own and the newest."""
        return self.path / "metadata"

    @property
    def log(self) -> Path:
        """Folder of a copy of the log's hashes."""
        return self.path / "log"

    def prepare(self) -> None:
        """Make the folders, and read what is kept; a ledger that is damaged is as good as none.

        Raises:
            StorageError: The system refuses.
        """
        for name in ("blobs", "parts"):
            make_folders(self._disk, self.path / name, below=self._folder.path)
        try:
            found = read_record(Ledger, self.path / "kept.json")
        except MalformedError:
            found = None
        self._ledger = found if found is not None and found.schema == SCHEMA else Ledger()

    def link(self, source: Path, sha256: str) -> Path:
        """Give a file of a slot a name here; whether it is the right one is for the caller to find out.

        Returns:
            That name, or `source` itself where the disk knows no hard links.

        Raises:
            StorageError: The system refuses.
        """
        target, passing = self.place(sha256), self.path / "parts" / f"{sha256}{LINK_SUFFIX}"
        with self._lock:
            if (held := Stamp.of(target)) is not None and held == Stamp.of(source):
                return target
            clear(self._disk, passing)
            try:
                self._disk.join(source, passing)
            except StorageError:
                return source
            self._disk.rename(passing, target)
            return target

    def fetch(self, item: Kept, sources: Sources, *, progress: Progress | None = None) -> None:
        """Bring a blob here, verified; what is left of others that did not come is given up for it.

        Raises:
            SourcesError: Nobody has it.
            StorageError: The system refuses.
        """
        self.forget_parts({item.blob.sha256})
        part = self.path / "parts" / item.blob.sha256
        sources.fetch(item.blob, part, progress=progress)
        self.take(part, item)

    def put(self, data: bytes, item: Kept) -> None:
        """Keep some bytes that were verified.

        Raises:
            StorageError: The system refuses.
        """
        part = self.path / "parts" / item.blob.sha256
        self._disk.write(part, data)
        self.take(part, item)

    def take(self, part: Path, item: Kept) -> None:
        """Keep a file that was verified; it moves here.

        Raises:
            StorageError: The system refuses.
        """
        with self._lock:
            adopt(self._disk, part, self.place(item.blob.sha256))
            whole = replace(item, blob=replace(item.blob, pieces=None))  # nobody who gives it out asks for pieces
            self._note([*self._others(item.blob.sha256), whole])

    def renew(self, sha256: Iterable[str], *, release: str, version: int) -> None:
        """What was kept for another release is kept for this one.

        Raises:
            StorageError: The system refuses.
        """
        named = set(sha256)
        with self._lock:
            self._note(
                [
                    replace(item, release=release, version=version) if item.blob.sha256 in named else item
                    for item in self._ledger.kept
                ]
            )

    def drop(self, sha256: str) -> None:
        """Keep something no longer. Its name goes first: the ledger may speak of what is gone, and never the reverse.

        Raises:
            StorageError: The system refuses.
        """
        with self._lock:
            clear(self._disk, self.place(sha256))
            self._note(self._others(sha256))

    def remove_strays(self, keep: Collection[str]) -> None:
        """Remove names that are neither kept nor among `keep`, such as of slots that hold something else by now.

        Raises:
            StorageError: The system refuses.
        """
        with self._lock:
            known = {*keep, *self.kept}
            for name in _names(self.path / "blobs"):
                if name not in known:
                    clear(self._disk, self.path / "blobs" / name)

    def files_bytes(self) -> int:
        """Bytes of the files that are kept, documents apart."""
        return sum(item.blob.size_bytes for item in self._ledger.kept if not item.is_document)

    def forget_parts(self, keep: Collection[str]) -> None:
        """Give up what is not whole yet: it is in no budget, and each part takes the space of the whole.

        Args:
            keep: Digests of blobs of which it stays.

        Raises:
            StorageError: The system refuses.
        """
        parts = self.path / "parts"
        with self._lock:
            for name in _names(parts):
                if name.partition(".")[0] not in keep:
                    clear(self._disk, parts / name)

    def make_room(self, size_bytes: int, *, budget_bytes: int, release: str) -> bool:
        """Drop what is kept for other releases, the oldest first, until so much more may be kept.

        Args:
            size_bytes: What is to come.
            budget_bytes: Of all files that are kept.
            release: What is kept for this one stays.

        Returns:
            Whether there is room now.

        Raises:
            StorageError: The system refuses.
        """
        others = [item for item in self.kept.values() if item.release != release and not item.is_document]
        for item in sorted(others, key=lambda item: item.since):
            if self._has_room(size_bytes, budget_bytes):
                break
            self.drop(item.blob.sha256)
        return self._has_room(size_bytes, budget_bytes)

    def _has_room(self, size_bytes: int, budget_bytes: int) -> bool:
        count = sum(not item.is_document for item in self._ledger.kept)
        return self.files_bytes() + size_bytes <= budget_bytes and count + bool(size_bytes) <= MOST_KEPT

    def _others(self, sha256: str) -> list[Kept]:
        return [item for item in self._ledger.kept if item.blob.sha256 != sha256]

    def _note(self, kept: Iterable[Kept]) -> None:
        ledger = Ledger(tuple(kept))
        if ledger != self._ledger:
            save_record(self._disk, self.path / "kept.json", ledger)
            self._ledger = ledger


def let_go(disk: Disk, folder: NodeFolder, slot: Path) -> None:
    """Take the names in `share/` from the files of a slot that is about to go; else they would hold its space.

    Whoever seeds them notices. Nobody has to: a node may have seeded once and never again.

    Args:
        disk: Where.
        folder: Of the node.
        slot: Folder of the slot.

    Raises:
        StorageError: The system refuses.
    """
    blobs = folder.share / "blobs"
    if not blobs.is_dir():
        return
    inodes = {stamp.inode for path in slot.rglob("*") if (stamp := Stamp.of(path))}
    for name in _names(blobs):
        stamp = Stamp.of(blobs / name)
        if stamp and stamp.inode in inodes:
            clear(disk, blobs / name)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}") from error
