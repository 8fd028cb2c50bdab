"""Quarantine: releases that failed their self-test here, and are not tried again until something changes.

A failure holds for a release, and for this machine with its runtimes: another release, another version of a runtime
or of edgekit, and it is tried anew. It holds for a day, since it may have been the hour's: memory that something else
had, a machine too busy. `edgekit node update --retry` forgets it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edgekit import digest
from edgekit.errors import MalformedError
from edgekit.node.disk import Disk, clear, make_folders
from edgekit.node.folder import NodeFolder
from edgekit.node.record import read_record, save_record
from edgekit.types.capabilities import Capabilities
from edgekit.types.strict_json import canonical
from edgekit.version import __version__

SCHEMA = "edgekit.quarantine/1"
TERM = timedelta(days=1)


@dataclass(frozen=True)
class Quarantined:
    """A release that failed here.

    Attributes:
        release: sha256 of its release index.
        version: Its version number.
        machine: Fingerprint of the machine and its runtimes.
        variants: Name of each variant that failed -> why.
        exhausted: No other variant fits this machine: the release as a whole need not be looked at.
        since: When it failed first, ISO 8601.
        schema: Always SCHEMA.
    """

    release: str
    version: int
    machine: str
    since: str
    variants: Mapping[str, str] = field(default_factory=dict)
    exhausted: bool = False
    schema: str = SCHEMA

    def holds(self, machine: Capabilities, now: datetime) -> bool:
        """Whether the release is still not to be tried.

        Args:
            machine: This one.
            now: The time, aware of its zone.
        """
        try:
            is_over = now >= datetime.fromisoformat(self.since) + TERM
        except (ValueError, TypeError, OverflowError):
            is_over = True
        return self.machine == fingerprint(machine) and not is_over


def fingerprint(machine: Capabilities) -> str:
    """What a failure depends on besides the release: sha256 of hardware, runtimes and edgekit's version."""
    return digest.of_bytes(
        canonical(
            {
                "os": machine.os,
                "arch": machine.arch,
                "isa": list(machine.isa),
                "cpu": machine.cpu,
                "runtimes": dict(machine.runtimes),
                "providers": {name: list(words) for name, words in machine.providers.items()},
                "edgekit": __version__,
            }
        )
    )


def read_quarantined(folder: NodeFolder, release: str) -> Quarantined | None:
    """What is known of a release; None where nothing is. A damaged record is none: the release is tried again."""
    try:
        found = read_record(Quarantined, folder.quarantine / f"{release}.json")
    except MalformedError:
        return None
    return found if found is not None and found.schema == SCHEMA and found.release == release else None


def list_quarantined(folder: NodeFolder) -> tuple[Quarantined, ...]:
    """Every release that is quarantined, by version."""
    if not folder.quarantine.is_dir():
        return ()
    found = (read_quarantined(folder, path.stem) for path in folder.quarantine.glob("*.json"))
    return tuple(sorted((item for item in found if item), key=lambda item: (item.version, item.release)))


def save_quarantined(disk: Disk, folder: NodeFolder, entry: Quarantined) -> None:
    """Remember a failure.

    Raises:
        StorageError: The system refuses.
    """
    make_folders(disk, folder.quarantine, below=folder.path)
    save_record(disk, folder.quarantine / f"{entry.release}.json", entry)


def forget(disk: Disk, folder: NodeFolder) -> None:
    """Forget every failure.

    Raises:
        StorageError: The system refuses.
    """
    clear(disk, folder.quarantine)


def prune(disk: Disk, folder: NodeFolder, *, keep: Collection[str], below: int) -> None:
    """Forget the failures of releases that will not be met again.

    Args:
        disk: Where.
        folder: Of the node.
        keep: Releases that lie in a slot.
        below: Those of this version or a higher one are kept too.

    Raises:
        StorageError: The system refuses.
    """
    for entry in list_quarantined(folder):
        if entry.version < below and entry.release not in keep:
            clear(disk, folder.quarantine / f"{entry.release}.json")
