"""Receipt: what a node says it did, signed by it; each names the one before, so that none can be left out unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Event(Enum):
    """What happened.

    INSTALLED: a release passed its self-test here and runs now. REFUSED: it failed its self-test, and what ran before
    still runs. ROLLED_BACK: a release that had run here before runs again. STOPPED: no release may run, and none does.
    """

    INSTALLED = "installed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled-back"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Machine:
    """What the node said it is, as `edgekit.types.capabilities` spells it."""

    os: str
    arch: str
    isa: tuple[str, ...]


@dataclass(frozen=True)
class Deployed:
    """A variant of a release, by its digests; each a sha256 in lower-case hex.

    Attributes:
        version: The bundle's version number.
        semver: The same for people.
        release: Of the release index: all signatures are below it.
        bundle: Of the image index: the same model, whoever signed it.
        manifest: Of `manifest.json`.
        variant: Which variant.
        files: path -> digest of each file of the variant.
        signer: Fingerprint (sha256 of the SPKI, DER) of the key whose model signature was checked.
    """

    version: int
    semver: str
    release: str
    bundle: str
    manifest: str
    variant: str
    files: Mapping[str, str]
    signer: str


@dataclass(frozen=True)
class Trial:
    """How a self-test went.

    Attributes:
        passed: The answers were the publisher's, by the manifest's rule.
        runtime: "onnxruntime" or "litert"; "" where none was started.
        runtime_version: Its version.
        outputs: sha256 of the answers as computed here; "" where there were none.
        reason: Why it failed; "" when it passed.
    """

    passed: bool
    runtime: str = ""
    runtime_version: str = ""
    outputs: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Receipt:
    """One event in the life of a node.

    Attributes:
        node: did:key of the node; its ed25519 key signed this.
        counter: 1 for the first receipt, and one more for each.
        previous: sha256 of the payload of the receipt before; "" for the first.
        event: What happened.
        time: The node's clock, RFC 3339 in UTC, whole seconds.
        target: FAMILY/NAME in the channel.
        channel: Role -> version of the metadata that the node last verified.
        machine: The node's hardware.
        deployed: The release that it is about; None for STOPPED.
        tested: Its self-test; None for STOPPED.
        reason: Why, for REFUSED, ROLLED_BACK and STOPPED; "" for INSTALLED.
    """

    node: str
    counter: int
    previous: str
    event: Event
    time: str
    target: str
    machine: Machine
    channel: Mapping[str, int] = field(default_factory=dict)
    deployed: Deployed | None = None
    tested: Trial | None = None
    reason: str = ""
