"""The folder of a node: where everything lies in it, and the lock that keeps it to one process at a time.

- `node.toml`: which channels, which model (`settings`);
- `root.json`: the root of trust that it was given;
- `identity.key`, `identity.pub`: its ed25519 key (`identity`);
- `trust/`: metadata of the channel, as last verified (`edgekit.channel.client`);
- `state.json`: what it knew last (`state`);
- `slots/a`, `slots/b`: an installed release each (`slots`);
- `slots/next`: the one that is being fetched (`staging`);
- `current`: link to the slot that runs; absent while none may;
- `quarantine/`: releases that failed here (`quarantine`);
- `receipts/`: what it did, signed and numbered (`receipts`);
- `share/`: what it gives to others beside its own release (`keeping`), absent where it never seeded;
- `lock`: held while a process changes any of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError, NodeStateError, StorageError


@dataclass(frozen=True)
class NodeFolder:
    """Paths in the folder of a node.

    Attributes:
        path: The folder.
    """

    path: Path

    @staticmethod
    def at(path: Path) -> NodeFolder:
        """Those of a folder that somebody names; a link in its place is followed now, and no more from then on."""
        return NodeFolder(path.resolve() if path.is_symlink() else path)

    @property
    def settings(self) -> Path:
        """What `edgekit node init` was told."""
        return self.path / "node.toml"

    @property
    def root(self) -> Path:
        """The channel's root metadata, as handed over by whoever set the node up."""
        return self.path / "root.json"

    @property
    def trust(self) -> Path:
        """Metadata of the channel."""
        return self.path / "trust"

    @property
    def state(self) -> Path:
        """What the node knew last."""
        return self.path / "state.json"

    @property
    def slots(self) -> Path:
        """Folder of the slots."""
        return self.path / "slots"

    @property
    def staging(self) -> Path:
        """The release that is being fetched; becomes a slot by being renamed."""
        return self.slots / "next"

    @property
    def current(self) -> Path:
        """Link to the slot that runs."""
        return self.path / "current"

    @property
    def quarantine(self) -> Path:
        """Folder of the releases that failed here."""
        return self.path / "quarantine"

    @property
    def receipts(self) -> Path:
        """Folder of the receipts."""
        return self.path / "receipts"

    @property
    def share(self) -> Path:
        """What the node gives to others."""
        return self.path / "share"


def find_node(path: Path) -> NodeFolder:
    """The folder of a node that was set up.

    Raises:
        InputError: It is none.
    """
    folder = NodeFolder.at(path)
    if not folder.settings.is_file():
        raise InputError(f"{path} is no node: it holds no node.toml", hint="edgekit node init DIR sets one up")
    return folder


def locked(folder: NodeFolder) -> AbstractContextManager[None]:
    """Hold the folder; the system lets go of it when the process ends, however it ends.

    Raises:
        NodeStateError: Another process holds it.
        StorageError: The folder cannot be written.
    """
    return held(folder.path, hint="wait until it is done; it may be the node's timer")


@contextmanager
def held(path: Path, *, hint: str) -> Iterator[None]:
    """Hold some folder, by a file `lock` in it.

    Raises:
        NodeStateError: Another process holds it.
        StorageError: The folder cannot be written.
    """
    place = path / "lock"
    try:
        # Whoever may open it may hold it: that is the node's user alone, also where others may read the folder.
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write {place}: {error.strerror}", hint="run as the user whom the folder belongs to"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NodeStateError(f"another process works in {path}", hint=hint) from error
        yield
    finally:
        os.close(descriptor)
