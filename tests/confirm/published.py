"""A bundle that is published in a channel, logged, and cosigned by two witnesses: what every system can confirm."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.verify import check_structure
from edgekit.confirm.confirmation import Confirmation, Row
from edgekit.confirm.confirming import confirm_bundle
from edgekit.publish.release_log import LogSettings, log_release
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.note import COSIGNATURE, VerifierKey, read_note
from edgekit.transparency.policy import Policy, read_policy
from edgekit.transparency.proof import LogProof, write_proof
from edgekit.transparency.tile_log import TileLog, found_log
from tests.publish.lab import Lab

ORIGIN = "models.example.org/log"


@dataclass
class World:
    """A channel and a log.

    Attributes:
        lab: The channel.
        log_key: Signs the log.
        witnesses: By name.
        root: The channel's first root metadata.
    """

    lab: Lab
    log_key: MemoryKey
    witnesses: dict[str, MemoryKey]
    root: bytes

    @property
    def policy(self) -> Policy:
        """Both witnesses have to have seen it."""
        vkeys = {name: VerifierKey(f"{name}.example", key.public, COSIGNATURE) for name, key in self.witnesses.items()}
        lines = [f"log {VerifierKey(ORIGIN, self.log_key.public)}"]
        lines += [f"witness {name} {vkey}" for name, vkey in vkeys.items()]
        return read_policy("\n".join([*lines, f"group all all {' '.join(vkeys)}", "quorum all", ""]))

    def log(self, bundle: Path, *, cosigned_by: tuple[str, ...] = ("ada", "bob")) -> bytes:
        """Log a bundle's release; the proof, which is also put into the channel."""
        with open_bundle(bundle) as opened:
            release = check_structure(opened)
        folder = self.lab.folder.parent / "log"
        if not folder.exists():
            found_log(folder, ORIGIN, self.log_key)
        logged = log_release(self.lab.place, release, LogSettings(folder, self.log_key))
        log = TileLog.open(folder)
        note = read_note(log.note)
        signed = [cosign(note.text, f"{name}.example", self.witnesses[name], int(time.time())) for name in cosigned_by]
        proof = write_proof(LogProof(logged.index, tuple(log.prove(logged.index)), note.signed_also(signed)))
        self.lab.place.files[logged.proof] = proof
        return proof

    def confirm(self, bundle: Path, *, policy: Policy | None = None, proof: bytes | None = None) -> Confirmation:
        with open_bundle(bundle) as opened:
            return confirm_bundle(
                opened,
                root=self.root,
                mirrors=[self.lab.place],
                policy=policy or self.policy,
                proof=proof,
            )


def make_world(folder: Path) -> World:
    """An empty channel."""
    lab = Lab(folder / "bundles", now=datetime.now(UTC))
    lab.found()
    witnesses = {name: generate("ed25519") for name in ("ada", "bob")}
    return World(lab, generate("ed25519"), witnesses, lab.place.files["metadata/1.root.json"])


def failed(found: Confirmation) -> set[str]:
    """Systems in which something is not confirmed."""
    return {row.system for row in found.failed}


def rows_of(found: Confirmation, system: str) -> list[Row]:
    return [row for row in found.rows if row.system == system]
