"""Repository: a TUF repository in memory that signs whatever it is told, right or wrong, and keeps every file it wrote.

It is a second writer, independent of `edgekit.publish`: python-tuf's objects, signed by keys in memory.

    repository = Repository()
    repository.release("vision/lite0", version=1)
    repository.publish()
    old = dict(repository.files)          # what a mirror that is stale would show
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edgekit.seal.keys import generate
from tests.channel.memory import MemoryTransport

TOP = ("root", "timestamp", "snapshot", "targets")
SIGNER = generate("p256").public.pem
"""A publisher of models; who holds its private half does not matter here."""


class Repository:
    """A channel under a test's hand.

    Attributes:
        root, timestamp, snapshot, targets: Signed parts, to be changed at will.
        families: The same by family.
        signers: Role or family -> keys that `sign` uses; change it to sign with others, fewer or none.
        files: Content by name, as a web server would have it.
        now: When it was made; metadata expires 1 to 365 days later.
    """

    def __init__(
        self,
        families: Iterable[str] = ("vision",),
        *,
        thresholds: Mapping[str, int] | None = None,
        now: datetime | None = None,
    ) -> None:
        """Write a repository of version 1 of everything, with no target.

        Args:
            families: Delegated roles, each for the targets `FAMILY/*`.
            thresholds: Role -> how many keys it has and needs; 1 where it says nothing.
            now: What time it is.
        """
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        thresholds = thresholds or {}
        self.files: dict[str, bytes] = {}
        self.signers = {
            role: [CryptoSigner.generate_ed25519() for _ in range(thresholds.get(role, 1))]
            for role in (*TOP, *families)
        }
        self.root = Root(expires=self.later(365), consistent_snapshot=True)
        for role in TOP:
            self.root.roles[role].threshold = thresholds.get(role, 1)
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
        self.timestamp = Timestamp(expires=self.later(1))
        self.snapshot = Snapshot(expires=self.later(7))
        self.targets = Targets(expires=self.later(90), delegations=Delegations({}, {}))
        self.families = {family: Targets(expires=self.later(90)) for family in families}
        for family in families:
            self.delegate(family, [f"{family}/*"], threshold=thresholds.get(family, 1))
        self.write_root()
        self.publish(bump=())

    def later(self, days: float) -> datetime:
        """Some days after it was made; before, when negative."""
        return self.now + timedelta(days=days)

    def delegate(self, role: str, paths: list[str], *, threshold: int = 1) -> None:
        """Let `role`, with the keys in `signers`, sign the targets of those paths."""
        assert self.targets.delegations is not None
        assert self.targets.delegations.roles is not None
        keys = [signer.public_key for signer in self.signers[role]]
        self.targets.delegations.roles[role] = DelegatedRole(
            role, [key.keyid for key in keys], threshold, terminating=True, paths=paths
        )
        self.targets.delegations.keys.update({key.keyid: key for key in keys})

    def release(
        self, name: str, *, version: int = 1, index: bytes | None = None, custom: Any = None, role: str = ""
    ) -> bytes:
        """Add a target and its file; nobody sees it before `publish`.

        Args:
            name: FAMILY/NAME.
            version: Of the release.
            index: The release index; made up where None.
            custom: Instead of what edgekit writes.
            role: Whose metadata gets it, where it is not the family's.

        Returns:
            The release index.
        """
        family, _, model = name.partition("/")
        data = index if index is not None else f'{{"name":"{name}","version":{version}}}'.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        notice = {"version": version, "semver": f"{version}.0.0", "oldest": 1, "signers": [SIGNER]}
        fields = {"custom": {"edgekit": notice} if custom is None else custom}
        signed = self.families[role or family]
        signed.targets[f"{name}.json"] = TargetFile(len(data), {"sha256": sha256}, f"{name}.json", fields)
        self.files[f"targets/{family}/{sha256}.{model}.json"] = data
        return data

    def publish(self, *, bump: Sequence[str] = ("families", "snapshot", "timestamp")) -> None:
        """Write everything but the root anew.

        Args:
            bump: Whose version counts up: "families", "targets", "snapshot", "timestamp".
        """
        for family, signed in self.families.items():
            signed.version += "families" in bump
            self.write(family, signed)
        self.targets.version += "targets" in bump
        self.write("targets", self.targets)
        self.snapshot.version += "snapshot" in bump
        self.snapshot.meta = {
            f"{role}.json": MetaFile(signed.version)
            for role, signed in (("targets", self.targets), *self.families.items())
        }
        self.write("snapshot", self.snapshot)
        self.timestamp.version += "timestamp" in bump
        data = self.files[f"metadata/{self.snapshot.version}.snapshot.json"]
        self.timestamp.snapshot_meta = MetaFile.from_data(self.snapshot.version, data, ["sha256"])
        self.write("timestamp", self.timestamp)

    def sign(self, role: str, signed: Any, signers: Iterable[CryptoSigner] | None = None) -> bytes:
        """A metadata file, signed by `signers[role]` or whom the caller names; nothing is written."""
        metadata = Metadata(signed)
        for signer in self.signers[role] if signers is None else signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def write(self, role: str, signed: Any) -> None:
        """Sign and write one file."""
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        self.files[f"metadata/{name}"] = self.sign(role, signed)

    def write_root(self, *, by: Iterable[CryptoSigner] = ()) -> bytes:
        """Sign the root with its keys and those in `by`, and write it."""
        data = self.sign("root", self.root, {id(one): one for one in (*self.signers["root"], *by)}.values())
        self.files[f"metadata/{self.root.version}.root.json"] = data
        return data

    def renew_key(self, role: str) -> CryptoSigner:
        """A new key for a top role in place of its first; the next root, in which it stands, is written.

        Returns:
            The old key.
        """
        before = list(self.signers["root"])
        old, new = self.signers[role][0], CryptoSigner.generate_ed25519()
        self.signers[role][0] = new
        self.root.revoke_key(old.public_key.keyid, role)
        self.root.add_key(new.public_key, role)
        self.root.version += 1
        self.write_root(by=before)
        return old

    @property
    def first_root(self) -> bytes:
        """What a reader trusts from the beginning."""
        return self.files["metadata/1.root.json"]

    def mirror(self, url: str = "memory:a", *, copy: bool = False) -> MemoryTransport:
        """A mirror of it: live, or as it is now."""
        return MemoryTransport(dict(self.files) if copy else self.files, url)


def keys_of(signers: Iterable[CryptoSigner]) -> list[Key]:
    """Public keys of some signers."""
    return [signer.public_key for signer in signers]
