"""Giving: what a node that seeds gives out right now: files of its slots, and what is kept for others.

A file is given out only after it was hashed, and no longer when somebody touched it, when its slot holds another
release, or when the channel no longer lets its release run. Slots are only read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgekit import digest
from edgekit.bundle.manifest_rules import SIGNATURE_FILE
from edgekit.errors import EdgekitError, StorageError, TrustError
from edgekit.node.folder import find_node
from edgekit.node.keeping import Share
from edgekit.node.opened import Node, integrity, look_at
from edgekit.node.outlets import Outlet
from edgekit.node.relaying import relayed_files
from edgekit.node.slots import FILES, NAMES, RECORD, Slot, read_slots
from edgekit.node.stamp import Stamp, holds
from edgekit.node.world import World
from edgekit.types.blob import Blob
from edgekit.types.manifest import FILE_NAME

REST_S = 30.0
"""How long something is left alone that could not be given out, or turned out to be broken when somebody asked."""


@dataclass(frozen=True)
class Given:
    """A file that is given out.

    Attributes:
        blob: What it is.
        path: Where.
        stamp: Of when it was hashed.
    """

    blob: Blob
    path: Path
    stamp: Stamp


class Giver:
    """Keeps what the outlets give out in step with what the node has; one thread calls `look` again and again."""

    def __init__(
        self, path: Path, world: World, share: Share, outlets: Sequence[Outlet], recheck_every_s: float
    ) -> None:
        """Begin with nothing given out.

        Args:
            path: The node's folder.
            world: What surrounds it.
            share: Its folder `share/`.
            outlets: By which it gives.
            recheck_every_s: Seconds after which everything that is given out is hashed again.

        Attributes:
            changed: Set when the node holds or knows something else than before; who waits for it clears it.
        """
        self._path = path
        self._folder = find_node(path)
        self._world = world
        self._share = share
        self._outlets = outlets
        self._recheck_every_s = recheck_every_s
        self._given: dict[str, Given] = {}
        self._offered: set[tuple[int, str]] = set()  # number of the outlet, sha256
        self._refused: set[tuple[int, str]] = set()  # the same, where trying again would lead nowhere
        self._resting: dict[str, float] = {}
        self._sound: dict[str, object] = {}
        self._mark: object = None
        self._checked_at = float("-inf")
        self._retry_at = float("inf")
        self._is_stale = threading.Event()
        self.changed = threading.Event()
        self._told: set[str] = set()
        self._lock = threading.Lock()

    @property
    def given(self) -> Mapping[str, Given]:
        """sha256 -> what is given out right now."""
        with self._lock:
            return dict(self._given)

    def note_change(self) -> None:
        """Something that is kept for others has come; the next look takes it up. May be called from any thread."""
        self._is_stale.set()

    def look(self, *, stop: threading.Event | None = None) -> None:
        """Stop giving out what was touched; and where anything has changed, find out anew what can be given out.

        Args:
            stop: Ends it between two files, when set.

        Raises:
            StorageError: The system refuses to write to `share/`.
            EdgekitError: The node's settings cannot be read.
        """
        now, given = time.monotonic(), self.given
        broken = {sha256 for outlet in self._outlets for sha256 in outlet.faults()} & given.keys()
        self._resting |= {sha256: now + REST_S for sha256 in broken}
        touched = broken | {sha256 for sha256, each in given.items() if Stamp.of(each.path) != each.stamp}
        for sha256 in touched:
            self._withdraw(given[sha256])
        is_due = now - self._checked_at >= self._recheck_every_s
        mark = self._look_around()
        if not (touched or is_due or now >= self._retry_at or mark != self._mark or self._is_stale.is_set()):
            return
        self._is_stale.clear()
        if self._mark is not None and mark != self._mark:
            self.changed.set()
        self._mark, self._retry_at = mark, min(self._resting.values(), default=float("inf"))
        if touched or is_due:
            self._sound.clear()
            self._refused.clear()
            self._checked_at = now
        try:
            self._renew(stop or threading.Event())
        except EdgekitError:
            self._retry_at = min(self._retry_at, now + REST_S)
            raise

    def tell_once(self, line: str) -> None:
        """Tell the node's owner, unless that was done."""
        if line not in self._told:
            self._told.add(line)
            self._world.tell(line)

    def _look_around(self) -> object:
        """What tells that something has changed, without reading any of it."""
        folder = self._folder
        files = [folder.settings, folder.state, *(folder.slots / name / RECORD for name in NAMES)]
        folders = [folder.trust / name for name in ("metadata", "proofs", "cosigned", "index")]
        found: list[object] = [Stamp.of(path) for path in files]
        for path in folders:
            with suppress(OSError):
                found += sorted((item.name, Stamp.of(item)) for item in path.iterdir() if not item.name.startswith("."))
        return found

    def _renew(self, stop: threading.Event) -> None:
        """Give out what can be, and nothing else. What may not go out any more goes before anything is written."""
        node = look_at(self._path, self._world)
        wanted, lost = self._kept_files(node)
        wanted |= self._slot_files(node)
        now = time.monotonic()
        self._resting = {sha256: until for sha256, until in self._resting.items() if until > now}
        for sha256, given in self.given.items():
            if wanted.get(sha256) != given:
                self._withdraw(given)
        for sha256 in lost:
            self._share.drop(sha256)
        for sha256, given in wanted.items():
            if stop.is_set():
                return
            if sha256 not in self._resting:
                self._offer(given)
        self._share.remove_strays(wanted)
        try:
            files = relayed_files(node, self._share)
        except TrustError:
            return  # an update is under way, or there was none yet; what was handed on before is still right
        for outlet in self._outlets:
            outlet.name(files)

    def _kept_files(self, node: Node) -> tuple[dict[str, Given], list[str]]:
        """What is kept and may be given out; and digests of the rest, decayed or of a revoked release."""
        found: dict[str, Given] = {}
        lost: list[str] = []
        for sha256, kept in self._share.kept.items():
            given = None if node.bars(kept.version) else self._checked(kept.blob, self._share.place(sha256))
            if given:
                found[sha256] = given
            else:
                lost.append(sha256)
        return found, lost

    def _slot_files(self, node: Node) -> dict[str, Given]:
        """The files of the slots that may run and are whole."""
        found: dict[str, Given] = {}
        for slot in read_slots(node.folder):
            fault = node.objection(slot)
            try:
                blobs = {} if fault else _blobs_of(slot)
                stamps = {path: Stamp.of(path) for path in blobs}
                key = (slot.record, frozenset(stamps.items()))
                if not fault and self._sound.get(slot.folder.name) != key:
                    fault = integrity(slot)
                if fault:
                    self._sound.pop(slot.folder.name, None)
                    self.tell_once(f"slot {slot.folder.name} is not given out: {fault}")
                    continue
                self._sound[slot.folder.name] = key
                for path, blob in blobs.items():
                    if blob.sha256 in found or blob.sha256 in self._share.kept:
                        continue  # a copy of its own is the better one: it does not rot with the slot
                    place, stamp = self._share.link(path, blob.sha256), stamps[path]
                    if stamp is not None and Stamp.of(place) == stamp:  # else it was replaced since it was hashed
                        found[blob.sha256] = Given(blob, place, stamp)
            except (TrustError, StorageError, OSError) as error:
                self.tell_once(f"slot {slot.folder.name} is not given out: {error}")
        return found

    def _checked(self, blob: Blob, path: Path) -> Given | None:
        """A kept file, hashed unless that was done since it was written to last."""
        stamp = Stamp.of(path)
        if stamp is None or (self._sound.get(blob.sha256) != stamp and not holds(path, blob)):
            return None
        self._sound[blob.sha256] = stamp
        return Given(blob, path, stamp)

    def _offer(self, given: Given) -> None:
        """Give a file out by every outlet that does not do so yet."""
        sha256 = given.blob.sha256
        with self._lock:
            self._given[sha256] = given
        for key in ((number, sha256) for number in range(len(self._outlets))):
            if key in self._offered | self._refused:
                continue
            try:
                self._outlets[key[0]].offer(given.blob, given.path)
                self._offered.add(key)
            except EdgekitError as error:
                self.tell_once(f"{sha256[:12]} is not given out, or not in every way: {error}")
                if isinstance(error, TrustError):  # the file was hashed: it is what was signed about it that is wrong
                    self._refused.add(key)
                else:
                    self._retry_at = min(self._retry_at, time.monotonic() + REST_S)

    def _withdraw(self, given: Given) -> None:
        for number, outlet in enumerate(self._outlets):
            outlet.withdraw(given.blob)
            for keys in (self._offered, self._refused):
                keys.discard((number, given.blob.sha256))
        with self._lock:
            self._given.pop(given.blob.sha256, None)


def _blobs_of(slot: Slot) -> dict[Path, Blob]:
    """File of a slot -> what it should be; its signature too, which the bundle keeps as a blob.

    Raises:
        TrustError: Its manifest is not the one that was installed.
        OSError: A file cannot be read.
    """
    manifest, record = slot.manifest(), slot.record
    found = {slot.files / path: manifest.file(path).blob for path in record.deployed.files if path != FILE_NAME}
    own = slot.folder / FILES / FILE_NAME
    found[own] = Blob(record.deployed.manifest, record.sizes[FILE_NAME])
    signature = slot.folder / SIGNATURE_FILE
    found[signature] = Blob(digest.of_file(signature), signature.stat().st_size)
    return found
