"""Forger: a mirror in the hands of somebody who has stolen some keys, and signs whatever he likes with them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from edgekit import digest
from edgekit.channel.names import ReleaseNotice, metadata_file, target_file, target_path
from edgekit.channel.tuf_objects import Metadata, MetaFile, TargetFile
from edgekit.seal.keys import MemoryKey, PublicKey
from edgekit.seal.tuf_signer import tuf_signer
from tests.attacks.distribution.releases import MODEL
from tests.bundle.building import Built


class Forger:
    """A mirror that signs whatever it likes with the keys that it has.

    Attributes:
        folder: Its copy of the channel.
        keys: Stolen ones, and any that it made itself.
        now: The time.
    """

    def __init__(self, folder: Path, keys: list[MemoryKey], now: datetime) -> None:
        self.folder = folder
        self.keys = keys
        self.now = now

    def path(self, role: str, version: int | None = None) -> Path:
        return self.folder / metadata_file(role, version)

    def newest(self, role: str) -> int:
        found = [int(path.name.split(".")[0]) for path in (self.folder / "metadata").glob(f"*.{role}.json")]
        return max(found)

    def read(self, role: str, version: int | None = None) -> Any:
        """Metadata of a role, the newest that it has; without signatures, to be changed."""
        if role != "timestamp":
            version = version or self.newest(role)
        found: Metadata[Any] = Metadata.from_bytes(self.path(role, version).read_bytes())
        return copy.deepcopy(found.signed)

    def sign(self, signed: Any, keys: Sequence[MemoryKey] | None = None) -> bytes:
        """A metadata file."""
        metadata = Metadata(signed)
        for key in self.keys if keys is None else keys:
            metadata.sign(tuf_signer(key), append=True)
        return metadata.to_bytes()

    def write(self, role: str, signed: Any, keys: Sequence[MemoryKey] | None = None) -> None:
        version = None if role == "timestamp" else signed.version
        self.path(role, version).write_bytes(self.sign(signed, keys))

    def lead_to(self, *, timestamp: int | None = None, days: float = 1, **versions: int) -> None:
        """A new timestamp and snapshot that name these versions of these roles; signed with all keys that it has.

        Args:
            timestamp: Version of the timestamp; one more than before where None.
            days: How long both are valid.
            versions: Role -> version; of "snapshot" its own, else one more than before.
        """
        snapshot, stamp = self.read("snapshot"), self.read("timestamp")
        snapshot.version = versions.pop("snapshot", snapshot.version + 1)
        for role, version in versions.items():
            snapshot.meta[f"{role}.json"] = MetaFile(version)
        snapshot.expires = stamp.expires = self.now + timedelta(days=days)
        self.write("snapshot", snapshot)
        stamp.version = stamp.version + 1 if timestamp is None else timestamp
        stamp.snapshot_meta = MetaFile(snapshot.version)
        self.write("timestamp", stamp)

    def offer(
        self,
        built: Built,
        *,
        signers: Sequence[PublicKey],
        family: str = "vision",
        name: str = MODEL,
        version: int | None = None,
        oldest: int = 1,
    ) -> None:
        """Make a bundle current, as far as its keys count; its blobs are put there too."""
        index = (built.path / "index.json").read_bytes()
        manifest = built.draft.manifest
        number = version or manifest.version
        notice = ReleaseNotice(number, f"{number}.0.0", oldest, tuple(key.pem for key in signers))
        target = TargetFile(
            len(index), {"sha256": digest.of_bytes(index)}, target_path(name), {"custom": notice.to_custom()}
        )
        place = self.folder / target_file(name, digest.of_bytes(index))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(index)
        shutil.copytree(built.path / "blobs", self.folder / "blobs", dirs_exist_ok=True)
        signed = self.read(family)
        signed.targets[target.path] = target
        signed.version += 1
        self.write(family, signed)
        self.lead_to(**{family: signed.version})

    def blob(self, sha256: str) -> Path:
        return self.folder / "blobs" / "sha256" / sha256
