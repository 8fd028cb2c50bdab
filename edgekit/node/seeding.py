"""Seeding: a node that goes on running and gives to others what it has, while it keeps itself up to date.

The caller's thread updates, and does nothing else: no source of what is kept for others can keep it from learning of a
revocation. Two more threads watch what the node has and give it out (`edgekit.node.giving`), and fetch after each
update what is kept for others (`edgekit.node.gathering`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import EdgekitError, StorageError
from edgekit.node.folder import find_node, held
from edgekit.node.gathering import Gathering
from edgekit.node.giving import Given, Giver
from edgekit.node.keeping import Share
from edgekit.node.opened import look_at, open_node
from edgekit.node.outlets import Outlet
from edgekit.node.run_once import run_once
from edgekit.node.sourcing import opened_sources
from edgekit.node.world import World
from edgekit.transport.inflow import INFLOW
from edgekit.transport.opening import opened
from edgekit.types.progress import Progress, Stage

LOOK_S = 0.5
ENDING_S = 10.0
"""How long threads are waited for at the end; one that hashes a large file or waits for a server may take longer."""


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


@dataclass
class Seeder:
    """A node that seeds.

    Attributes:
        path: The node's folder.
        world: What surrounds it.
        outlets: By which it gives; closed at the end.
        plan: What else it does.
        stop: Ends it, when set.
        share: What it keeps for others.
        giver: What it gives out.
        given_out: What each outlet says of itself, once it has ended.
    """

    path: Path
    world: World
    outlets: Sequence[Outlet]
    plan: SeedPlan = field(default_factory=SeedPlan)
    stop: threading.Event = field(default_factory=threading.Event)
    given_out: tuple[Mapping[str, object], ...] = ()

    def __post_init__(self) -> None:
        self.share = Share(find_node(self.path), self.world.disk)
        self.giver = Giver(self.path, self.world, self.share, self.outlets, self.plan.recheck_every_s)
        self._failure: Exception | None = None

    @property
    def given(self) -> Mapping[str, Given]:
        """sha256 -> what is given out right now."""
        return self.giver.given

    def run(self) -> None:
        """Seed until `stop` is set, or the time is over.

        Raises:
            NodeStateError: Another process seeds this node.
            StorageError: Its folder cannot be written.
        """
        self.share.prepare()
        with held(self.share.path, hint="one process seeds a node; end the other one first"):
            threads = [
                threading.Thread(target=self._run, args=(work,), daemon=True) for work in (self._give, self._gather)
            ]
            try:
                for thread in threads:
                    thread.start()
                self._update_again_and_again()
            finally:
                self.stop.set()
                self._end(threads)
        if self._failure:
            raise self._failure

    def gather(self) -> None:
        """Fetch once what is to be kept for others; what goes wrong is told, and tried again after the next update."""
        try:
            node = look_at(self.path, self.world)
            with (
                INFLOW.limited(node.settings.download_bytes_per_s),
                opened(node.settings.channels) as mirrors,
                opened_sources(node) as sources,
            ):
                progress = _Ending(self.world.progress, self.stop)
                Gathering(node, self.share, mirrors, sources, self.plan.keep_bytes, progress).run()
                if node.settings.transparency is not None:
                    from edgekit.node.log_copy import copy_log

                    copy_log(node, self.share, mirrors)
        except EdgekitError as error:
            self.world.tell(f"nothing more is kept for others: {error}")
        self.giver.note_change()

    def _update_again_and_again(self) -> None:
        ends = time.monotonic() + (self.plan.for_s or float("inf"))
        while not self.stop.is_set():
            if self.plan.update_every_s:
                self._update()
            self.giver.changed.set()  # what could not be had is tried again, also where the update learned nothing
            due = min(ends, time.monotonic() + (self.plan.update_every_s or float("inf")))
            while time.monotonic() < due and not self.stop.wait(min(1.0, max(0.0, due - time.monotonic()))):
                pass  # a wait without an end would keep signals from the main thread
            if time.monotonic() >= ends:
                return

    def _update(self) -> None:
        """One round, as a timer would do it; what goes wrong is told, and tried again after a while."""
        try:
            with open_node(self.path, self.world) as node:
                done = run_once(node)
            if done.error:
                self.world.tell(f"the update failed: {done.error}")
            else:
                self.world.tell(f"{node.settings.model} {done.running.semver} (version {done.running.version}) runs")
        except EdgekitError as error:
            self.world.tell(f"the update failed: {error}")

    # The other threads

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _EndingError:
            pass
        except Exception as error:  # a bug: seeding ends, and `run` raises it where somebody sees it
            if not self.stop.is_set():
                self._failure = error
            self.stop.set()

    def _give(self) -> None:
        while not self.stop.is_set():
            try:
                self.giver.look(stop=self.stop)
            except EdgekitError as error:
                self.giver.tell_once(f"what is given out is as it was: {error}")
            self.stop.wait(LOOK_S)

    def _gather(self) -> None:
        while not self.stop.is_set():
            if self.giver.changed.wait(LOOK_S):  # a timer may have updated the node too
                self.giver.changed.clear()
                self.gather()

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        """Close the outlets, and leave no name on a slot's files, which would hold their space when the slot goes."""
        deadline = time.monotonic() + ENDING_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self.given_out = tuple(outlet.status() for outlet in self.outlets)
        for outlet in self.outlets:
            outlet.close()
        with suppress(StorageError):
            self.share.remove_strays(())


class _EndingError(Exception):
    """Seeding ends: unwinds a transfer."""


@dataclass(frozen=True)
class _Ending:
    """A Progress that is interrupted when seeding ends."""

    progress: Progress
    stop: threading.Event

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """See Progress."""
        with self.progress.stage(name, total) as stage:
            yield _EndingStage(stage, self.stop)


@dataclass(frozen=True)
class _EndingStage:
    stage: Stage
    stop: threading.Event

    def advance(self, n: int = 1) -> None:
        """See Stage.

        Raises:
            _EndingError: Seeding ends.
        """
        if self.stop.is_set():
            raise _EndingError
        self.stage.advance(n)
