"""Logging a release: its entry in a transparency log, and the proof beside it in the channel, before it is current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.bundle.release import Release
from edgekit.channel.names import proof_file
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.policy import Policy
from edgekit.transparency.submission import check_submission, submit
from edgekit.transparency.tile_log import TileLog
from edgekit.transport.transport import Transport


@dataclass(frozen=True)
class LogSettings:
    """Where a release is logged.

    Attributes:
        folder: Of the log; it may lie in the channel's own folder.
        key: The log's.
        policy: Whose cosignatures are needed before the release may become current; None asks nobody.
        witnesses: URLs that are asked beside those of the policy.
    """

    folder: Path
    key: PrivateKey
    policy: Policy | None = None
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Logged:
    """A release that is logged.

    Attributes:
        origin: Name of the log.
        index: Of its entry.
        size: Entries of the log at the head that the proof leads to.
        is_new: Whether it was logged now; otherwise it had been.
        proof: Name of the proof in the channel.
        witnesses: Name in the policy -> when it cosigned, seconds since 1970.
        faults: URL of a witness -> why there is no cosignature of it.
    """

    origin: str
    index: int
    size: int
    is_new: bool
    proof: str
    witnesses: Mapping[str, int]
    faults: Mapping[str, str]

    def __str__(self) -> str:
        """For people, one line."""
        how = "logged" if self.is_new else "logged before"
        seen = f", cosigned by {', '.join(self.witnesses)}" if self.witnesses else ""
        faults = "".join(f"; not by {url}: {fault}" for url, fault in self.faults.items())
        return f"{how} in {self.origin} as entry {self.index} of {self.size}{seen}{faults}"


def check_log(settings: LogSettings) -> None:
    """Do nothing where a release can be logged; whoever cannot learns it before a large bundle is moved.

    Raises:
        InputError: There is no log in the folder, or the URL of a witness is none.
        RecipeError: Witnesses are to be asked, and no policy says whose cosignatures count.
        SignatureError: The log has another key, or is none of the policy.
    """
    log = TileLog.open(settings.folder)
    check_submission(log, settings.key, policy=settings.policy, witnesses=settings.witnesses)


def log_release(place: Transport, release: Release, settings: LogSettings) -> Logged:
    """Log a release that was verified, and put the proof into the channel.

    Published again, it is not logged again; the proof is made anew, with the log's present head.

    Args:
        place: The channel.
        release: What.
        settings: Where.

    Raises:
        InputError: There is no log in the folder.
        WitnessError: Too few witnesses cosigned: nobody is told of the release. Publishing again asks them again.
        TrustError: The log has another key or is damaged; see `submit`.
        StorageError: The log cannot be written.
        TransportError: The channel cannot be written.
    """
    log = TileLog.open(settings.folder)
    entry = release.leaf.to_bytes()
    done = submit(log, entry, settings.key, policy=settings.policy, witnesses=settings.witnesses)
    name = proof_file(release.index_digest)
    place.write(name, [done.proof], size_bytes=len(done.proof))
    return Logged(log.origin, done.index, done.checkpoint.size, done.is_new, name, done.witnesses, done.faults)
