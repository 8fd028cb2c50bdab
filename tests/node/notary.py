"""Notary: a log of releases in a channel, its witnesses, and what somebody with the log's key could do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit import digest
from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.channel.names import proof_file
from edgekit.node.disk import Disk
from edgekit.node.settings import TransparencySettings, read_settings, write_settings
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.merkle import leaf_hash
from edgekit.transparency.note import COSIGNATURE, VerifierKey, read_note, write_note
from edgekit.transparency.proof import LogProof, write_proof
from edgekit.transparency.tile_log import found_log

ORIGIN = "log.example/models"
POLICY = "policy.txt"


def leaf_of(bundle: Path) -> bytes:
    """The entry of a bundle."""
    with open_bundle(bundle) as found:
        return read_release(found.blobs, found.index_bytes).leaf.to_bytes()


class Notary:
    """A log in a folder of a channel.

    Attributes:
        channel: Folder that the proofs and the log go to.
        key: The log's.
        witnesses: Names and keys.
    """

    def __init__(self, channel: Path, key: MemoryKey | None = None, witnesses: int = 2) -> None:
        self.channel = channel
        self.key = key or generate("ed25519")
        self.witnesses = {f"w{number}": generate("ed25519") for number in range(witnesses)}
        self.time = 1_800_000_000
        self.log = found_log(channel / "log", ORIGIN, self.key)

    def policy(self, quorum: str = "all") -> bytes:
        """Who counts; `quorum` is "none", "all", or a number."""
        lines = [f"log {VerifierKey(ORIGIN, self.key.public)}"]
        for name, key in self.witnesses.items():
            lines.append(f"witness {name} {VerifierKey(f'{name}.example', key.public, COSIGNATURE)}")
        if quorum != "none":
            lines.append(f"group them {quorum} {' '.join(self.witnesses)}")
        return "\n".join([*lines, f"quorum {'none' if quorum == 'none' else 'them'}", ""]).encode()

    def watch(self, node: Path, quorum: str = "all", **settings: object) -> None:
        """Give the node in a folder the policy."""
        policy = self.policy(quorum)
        (node / POLICY).write_bytes(policy)
        asked = TransparencySettings(policy_sha256=digest.of_bytes(policy), **settings)  # type: ignore[arg-type]
        path = node / "node.toml"
        write_settings(Disk(), path, replace(read_settings(path), transparency=asked))

    def append(self, *entries: bytes) -> None:
        """Entries, and a head that nobody cosigned yet."""
        self.log.append(list(entries), self.key)

    def cosign(self, names: Sequence[str] | None = None) -> None:
        """Have witnesses cosign the head; all of them where None."""
        self.time += 60
        note = read_note(self.log.note)
        made = [
            cosign(note.text, f"{name}.example", self.witnesses[name], self.time)
            for name in (self.witnesses if names is None else names)
        ]
        self.log.keep(write_note(note.signed_also(made)))

    def proof(self, bundle: Path) -> bytes:
        """The proof of a bundle against the head."""
        index = self.log.find(leaf_hash(leaf_of(bundle)))
        assert index is not None
        return write_proof(LogProof(index, tuple(self.log.prove(index)), read_note(self.log.note)))

    def prove(self, bundle: Path, data: bytes | None = None) -> Path:
        """Put a proof, or something else, where the channel has it."""
        place = self.channel / proof_file(digest.of_file(bundle / "index.json"))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(self.proof(bundle) if data is None else data)
        return place

    def record(self, bundle: Path, *, witnesses: Sequence[str] | None = None) -> Path:
        """All of it: entry, head, cosignatures, proof."""
        self.append(leaf_of(bundle))
        self.cosign(witnesses)
        self.prove(bundle)
        return bundle

    def fork(self, folder: Path, *, at: int = 0) -> Notary:
        """The same log as it was at a size, to be continued otherwise: by whoever has its key."""
        other = object.__new__(Notary)
        other.__dict__.update(self.__dict__)
        other.channel = folder
        other.log = found_log(folder / "log", ORIGIN, self.key)
        other.append(*self.log.entries(0, at))
        return other
