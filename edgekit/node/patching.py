"""Patching: a file of a new release from one that is installed, by a delta that the family signed.

It is a way to fetch less, and never the only one: whatever is wrong with an index, a delta or its base, the file itself
is fetched, and the node's owner is told why.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.channel.client import Followed, fetch_deltas
from edgekit.delta.applying import PROGRAM_BYTES, apply_delta
from edgekit.delta.codecs import available
from edgekit.delta.index import Delta, choose_delta, read_index
from edgekit.errors import EdgekitError, TransportError
from edgekit.node.disk import Disk, clear
from edgekit.node.memory_limit import memory_bytes
from edgekit.node.slots import Slot
from edgekit.transport.fetch import SCRATCH_SUFFIX, Sources
from edgekit.transport.part_file import SUFFIX as PART_SUFFIX
from edgekit.transport.part_file import missing_bytes
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob
from edgekit.units import size

OUT_SUFFIX = ".patched"
"""Behind the digest of the wanted file, in the folder of what is not whole yet: what a delta is making."""
MOST_FAILURES = 3
"""So many deltas may fail in one update, each with a minute and more of work; then files are fetched whole."""

Fetch = Callable[[Blob, Path], None]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Offer:
    """Deltas, and who has them.

    Attributes:
        deltas: What the channel signed.
        sources: Where they are fetched. Not the object that fetches files: a mirror that has other bytes for a delta is
            dropped there, and is to be asked for the file nevertheless.
    """

    deltas: Sequence[Delta]
    sources: Sources


def offered_deltas(followed: Followed, mirrors: Sequence[Transport], tell: Tell) -> tuple[Delta, ...]:
    """The deltas that the channel signed together with a release; none where they cannot be read.

    Args:
        followed: The release.
        mirrors: Of the channel.
        tell: Gets a line on what was wrong.
    """
    if followed.deltas is None:
        return ()
    try:
        return read_index(fetch_deltas(followed, mirrors))
    except EdgekitError as error:
        tell(f"the release's deltas cannot be used: {error}")
        return ()


class Patcher:
    """Makes wanted files of installed ones."""

    def __init__(self, deltas: Sequence[Delta], parts: Path, disk: Disk, fetch: Fetch, tell: Tell) -> None:
        """Prepare.

        Args:
            deltas: What is offered.
            parts: Folder for what is not whole yet.
            disk: Removes from it.
            fetch: Brings a blob to a file; goes on where an earlier call was cut off.
            tell: Gets a line for every delta that is fetched, and for every one that failed.
        """
        self._deltas = deltas
        self._parts = parts
        self._disk = disk
        self._fetch = fetch
        self._tell = tell
        self._failures = 0

    def patched(self, path: str, blob: Blob, slots: Sequence[Slot]) -> Path | None:
        """A wanted file in the folder of parts, verified; None where it has to be fetched whole.

        Args:
            path: What it is called, for people.
            blob: The file.
            slots: Installed releases.
        """
        bases = {sha256: slot.files / name for slot in slots for name, sha256 in slot.record.deployed.files.items()}
        fitting = [delta for delta in self._deltas if _has_room(delta)]
        delta = choose_delta(fitting, bases=bases.keys(), target=blob.sha256, codecs=available())
        if delta is None or self._failures >= MOST_FAILURES:
            return None
        patch = self._parts / f"{blob.sha256}.{delta.sha256}"
        if _still_to_come(delta.blob, patch) >= missing_bytes(blob, self._parts / blob.sha256):
            return None
        self._tell(f"fetching {path} as a change, {size(delta.size_bytes)} instead of {size(blob.size_bytes)}")
        out = self._parts / f"{blob.sha256}{OUT_SUFFIX}"
        try:
            if _still_to_come(delta.blob, patch):
                self._fetch(delta.blob, patch)
            apply_delta(delta, base=bases[delta.base], patch=patch, out=out, blob=blob)
            clear(self._disk, patch)
        except EdgekitError as error:
            self._tell(f"the change cannot be used, and {path} is fetched whole: {error}")
            self._failures += 1
            clear(self._disk, patch)
            self._give_up(patch, blob, isinstance(error, TransportError))
            return None
        return out

    def _give_up(self, patch: Path, blob: Blob, may_go_on: bool) -> None:
        """Remove what has come of a delta; it stays where a later update may go on, and the disk has room beside it."""
        if may_go_on and shutil.disk_usage(self._parts).free >= missing_bytes(blob, self._parts / blob.sha256):
            return
        for suffix in (PART_SUFFIX, SCRATCH_SUFFIX):
            clear(self._disk, patch.with_name(patch.name + suffix))


def _has_room(delta: Delta) -> bool:
    """Whether this machine has the memory that applying it takes."""
    most = memory_bytes()
    return not most or delta.memory_bytes + PROGRAM_BYTES <= most


def _still_to_come(blob: Blob, place: Path) -> int:
    """Bytes of a delta that are not there yet."""
    try:
        status = place.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size == blob.size_bytes and digest.of_file(place) == blob.sha256:
            return 0
    except OSError:
        pass  # it is not there whole
    return missing_bytes(blob, place)
