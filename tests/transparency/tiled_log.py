"""Logs on the disk by one key, honest and forked, and readers of them by way of files and of HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgekit import digest
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.transport.file import FileTransport
from edgekit.types.release_leaf import ReleaseLeaf

ORIGIN = "example.org/log"


class TiledLog:
    """A log in a folder.

    Attributes:
        secret: Signs it.
        key: Its vkey.
        log: It.
    """

    def __init__(self, folder: Path, *, origin: str = ORIGIN, secret: MemoryKey | None = None) -> None:
        self.secret = secret or generate("ed25519")
        self.key = VerifierKey(origin, self.secret.public)
        self.log = TileLog.open(folder) if folder.exists() else found_log(folder, origin, self.secret)

    @property
    def folder(self) -> Path:
        return self.log.folder

    def add(self, *entries: bytes) -> TiledLog:
        self.log.append(entries, self.secret)
        return self

    def grow(self, count: int, text: str = "entry") -> TiledLog:
        begin = self.log.checkpoint.size
        return self.add(*(f"{text} {begin + number}".encode() for number in range(count)))

    def copy(self, name: str) -> TiledLog:
        """The same log in another folder, by the same key: a mirror, or where it forks."""
        target = self.folder.with_name(name)
        shutil.copytree(self.folder, target)
        return TiledLog(target, origin=self.key.name, secret=self.secret)

    def reader(self) -> LogReader:
        return LogReader(FileTransport(self.folder), self.key)


def leaf(name: str = "vision/lite0", version: int = 1, salt: str = "") -> bytes:
    """A release as an entry."""
    found = digest.of_bytes(f"{name} {version} {salt}".encode())
    return ReleaseLeaf(name, version, f"{version}.0.0", found, digest.of_bytes(found.encode())).to_bytes()


def leaves(*versions: int, name: str = "vision/lite0") -> Sequence[bytes]:
    return [leaf(name, version) for version in versions]
