"""Seeding: a node that goes on running and gives to others what it has, while it keeps itself up to date.

One thread watches what the node has (the keeper): the slots, what is kept in `share/`, what is known of the channel. It
gives a file out only after it was hashed, and stops within a second of when somebody touched it, or its slot holds
another release. The caller's thread updates, and then fetches what is kept for others. Slots are only read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgekit import digest
from edgekit.bundle.manifest_rules import SIGNATURE_FILE
from edgekit.errors import EdgekitError, StorageError, TrustError
from edgekit.node.folder import find_node, held
from edgekit.node.gathering import Gathering
from edgekit.node.keeping import Share, Stamp, holds
from edgekit.node.opened import Node, integrity, look_at, open_node
from edgekit.node.outlets import Outlet
from edgekit.node.relaying import relayed_files
from edgekit.node.run_once import run_once
from edgekit.node.slots import FILES, NAMES, RECORD, Slot, read_slots
from edgekit.node.sourcing import opened_sources
from edgekit.node.world import World
from edgekit.transport.opening import opened
from edgekit.types.blob import Blob
from edgekit.types.manifest import FILE_NAME

LOOK_S = 0.5
REST_S = 30.0
"""How long something is left alone that could not be given out, or turned out to be broken when somebody asked."""


@dataclass(frozen=True)
class SeedPlan:
    """What a node that seeds does besides giving out.

    Attributes:
        keep_bytes: Disk for files that are kept for others.
        update_every_s: Seconds between updates; 0 for none at all.
        recheck_every_s: Seconds after which everything that is given out is hashed again.
        for_s: Seconds after which it ends; 0 for never.
    """

    keep_bytes: int = 0
    update_every_s: float = 3600.0
    recheck_every_s: float = 6 * 3600.0
    for_s: float = 0.0


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


@dataclass
class Seeder:
    """A node that seeds.

    Attributes:
        path: The node's folder.
        world: What surrounds it.
        outlets: By which it gives; closed at the end.
        plan: What else it does.
        stop: Ends it, when set.
        given_out: What each outlet says of itself, once it has ended.
    """

    path: Path
    world: World
    outlets: Sequence[Outlet]
    plan: SeedPlan = field(default_factory=SeedPlan)
    stop: threading.Event = field(default_factory=threading.Event)
    given_out: tuple[Mapping[str, object], ...] = ()

    def __post_init__(self) -> None:
        self._folder = find_node(self.path)
        self._share = Share(self._folder, self.world.disk)
        self._given: dict[str, Given] = {}
        self._offered: set[tuple[int, str]] = set()
        self._resting: dict[str, float] = {}
        self._sound: dict[str, object] = {}
        self._mark: object = None
        self._checked_at = 0.0
        self._retry_at = float("inf")
        self._is_stale = threading.Event()
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._failure: Exception | None = None

    @property
    def given(self) -> Mapping[str, Given]:
        """sha256 -> what is given out right now."""
        with self._lock:
            return dict(self._given)

    def run(self) -> None:
        """Seed until `stop` is set, or the time is over.

        Raises:
            NodeStateError: Another process seeds this node.
            StorageError: Its folder cannot be written.
        """
        self._share.prepare()
        with held(self._share.path, hint="one process seeds a node; end the other one first"):
            keeper = threading.Thread(target=self._keep, daemon=True)
            keeper.start()
            try:
                self._work()
            finally:
                self.stop.set()
                keeper.join(timeout=10.0)
                self.given_out = tuple(outlet.status() for outlet in self.outlets)
                for outlet in self.outlets:
                    outlet.close()
        if self._failure:
            raise self._failure

    # The caller's thread: updates, and what is fetched for others

    def _work(self) -> None:
        began = time.monotonic()
        next_update = began
        while not self.stop.is_set():
            now = time.monotonic()
            if self.plan.for_s and now - began >= self.plan.for_s:
                return
            if now >= next_update:
                self._update()
                self._gather()
                self._is_stale.set()
                next_update = time.monotonic() + (self.plan.update_every_s or float("inf"))
            self.stop.wait(min(1.0, max(0.0, next_update - time.monotonic())))

    def _update(self) -> None:
        """One round, as a timer would do it; what goes wrong is told, and tried again after a while."""
        if not self.plan.update_every_s:
            return
        try:
            with open_node(self.path, self.world) as node:
                done = run_once(node)
            if done.error:
                self.world.tell(f"the update failed: {done.error}")
            else:
                self.world.tell(f"{node.settings.model} {done.running.semver} (version {done.running.version}) runs")
        except EdgekitError as error:
            self.world.tell(f"the update failed: {error}")

    def _gather(self) -> None:
        try:
            node = look_at(self.path, self.world)
            with opened(node.settings.channels) as mirrors, opened_sources(node) as sources:
                Gathering(node, self._share, mirrors, sources, self.plan.keep_bytes).run()
                if node.settings.transparency is not None:
                    from edgekit.node.log_copy import copy_log

                    copy_log(node, self._share, mirrors)
        except EdgekitError as error:
            self.world.tell(f"nothing more is kept for others: {error}")

    # The keeper's thread: what is given out

    def _keep(self) -> None:
        while not self.stop.is_set():
            try:
                self.look()
            except EdgekitError as error:
                self._tell_once(f"what is given out is as it was: {error}")
                self._retry_at = time.monotonic() + REST_S
            except Exception as error:  # a bug: seeding ends, and `run` raises it where somebody sees it
                self._failure = error
                self.stop.set()
            self.stop.wait(LOOK_S)

    def look(self) -> None:
        """Stop giving out what was touched; and where anything has changed, find out anew what can be given out.

        Raises:
            StorageError: The system refuses to write to `share/`.
            EdgekitError: The node's settings cannot be read.
        """
        now, given = time.monotonic(), self.given
        broken = {sha256 for outlet in self.outlets for sha256 in outlet.faults()} & given.keys()
        self._resting |= {sha256: now + REST_S for sha256 in broken}
        touched = broken | {sha256 for sha256, each in given.items() if Stamp.of(each.path) != each.stamp}
        for sha256 in touched:
            self._withdraw(given[sha256])
        is_due = now - self._checked_at >= self.plan.recheck_every_s or not self._checked_at
        mark = self._look_around()
        if touched or is_due or now >= self._retry_at or mark != self._mark or self._is_stale.is_set():
            self._is_stale.clear()
            self._mark, self._retry_at = mark, min(self._resting.values(), default=float("inf"))
            if touched or is_due:
                self._sound.clear()
                self._checked_at = now
            self._renew()

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

    def _renew(self) -> None:
        """Give out what can be, and nothing else."""
        node = look_at(self.path, self.world)
        wanted: dict[str, Given] = {}
        for sha256, kept in self._share.kept.items():
            if given := self._checked(kept.blob, self._share.place(sha256)):
                wanted[sha256] = given
            else:
                self._share.drop(sha256)
        wanted |= self._slot_files(node)
        now = time.monotonic()
        self._resting = {sha256: until for sha256, until in self._resting.items() if until > now}
        for sha256, given in self.given.items():
            if wanted.get(sha256) != given:
                self._withdraw(given)
        for sha256, given in wanted.items():
            if self.stop.is_set():
                return
            if sha256 not in self._resting:
                self._offer(given)
        self._share.remove_strays(wanted)
        try:
            files = relayed_files(node, self._share)
        except TrustError:
            return  # an update is under way, or there was none yet; what was handed on before is still right
        for outlet in self.outlets:
            outlet.name(files)

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
                    self._tell_once(f"slot {slot.folder.name} is not given out: {fault}")
                    continue
                self._sound[slot.folder.name] = key
                for path, blob in blobs.items():
                    if blob.sha256 in found or blob.sha256 in self._share.kept:
                        continue  # a copy of its own is the better one: it does not rot with the slot
                    place, stamp = self._share.link(path, blob.sha256), stamps[path]
                    if stamp is not None and Stamp.of(place) == stamp:  # else it was replaced since it was hashed
                        found[blob.sha256] = Given(blob, place, stamp)
            except (TrustError, StorageError, OSError) as error:
                self._tell_once(f"slot {slot.folder.name} is not given out: {error}")
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
        for number, outlet in enumerate(self.outlets):
            if (number, sha256) in self._offered:
                continue
            try:
                outlet.offer(given.blob, given.path)
                self._offered.add((number, sha256))
            except EdgekitError as error:
                self._tell_once(f"{sha256[:12]} is not given out yet: {error}")
                self._retry_at = min(self._retry_at, time.monotonic() + REST_S)

    def _withdraw(self, given: Given) -> None:
        for number, outlet in enumerate(self.outlets):
            outlet.withdraw(given.blob)
            self._offered.discard((number, given.blob.sha256))
        with self._lock:
            self._given.pop(given.blob.sha256, None)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self.world.tell(line)


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
