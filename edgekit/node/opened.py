"""Node: an opened folder, with what it knows, who it is and what surrounds it. Every verb of a node works on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from edgekit.channel.client import Followed
from edgekit.errors import KeyFileError, MalformedError, NodeStateError, TrustError
from edgekit.node.folder import NodeFolder, find_node, locked
from edgekit.node.identity import load_identity, read_did
from edgekit.node.quarantine import Quarantined, fingerprint, read_quarantined, save_quarantined
from edgekit.node.receipts import SERVING, ReceiptBook
from edgekit.node.settings import NodeSettings, read_settings
from edgekit.node.slots import Slot, read_slots
from edgekit.node.state import NodeState, learned, read_state, save_state
from edgekit.node.world import World
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.transport.inflow import INFLOW
from edgekit.types.capabilities import Capabilities
from edgekit.types.receipt import Deployed, Event, Machine, Receipt, Trial

LARGEST_ROOT_BYTES = 512_000
LONGEST_REASON = 2000


class Node:
    """A node whose folder was read.

    Attributes:
        folder: Its folder.
        settings: What it was told, by `world` too.
        world: What surrounds it.
        state: What it knows.
        fault: Why the state was put together anew; "" where it was not.
    """

    def __init__(self, folder: NodeFolder, world: World) -> None:
        """Read `folder`.

        Raises:
            InputError: Its settings cannot be used.
        """
        self.folder = folder
        self.world = world
        self.settings: NodeSettings = read_settings(folder.settings)
        if world.download_bytes_per_s is not None:
            self.settings = replace(self.settings, download_bytes_per_s=world.download_bytes_per_s).check()
        self.state: NodeState
        self.state, self.fault = read_state(folder.state, self.settings.model, read_slots(folder))

    @cached_property
    def machine(self) -> Capabilities:
        """What this machine is."""
        return self.world.probe(self.folder.path)

    @cached_property
    def public_key(self) -> PublicKey:
        """Who it is.

        Raises:
            KeyFileError: Its public key cannot be read.
        """
        return PublicKey.from_did(read_did(self.folder.path))

    @cached_property
    def key(self) -> PrivateKey:
        """Its private key.

        Raises:
            KeyFileError: It cannot be read, or the passphrase is wrong.
        """
        key = load_identity(self.folder.path, self.world.passphrase)
        if key.public.did != self.public_key.did:
            raise KeyFileError("identity.key and identity.pub do not belong together", hint="restore both from a copy")
        return key

    @cached_property
    def book(self) -> ReceiptBook:
        """Its receipts."""
        return ReceiptBook(self.folder, self.public_key)

    def root(self) -> bytes:
        """The root of trust that it was given.

        Raises:
            NodeStateError: It cannot be read.
        """
        try:
            with self.folder.root.open("rb") as stream:
                data = stream.read(LARGEST_ROOT_BYTES + 1)
        except OSError as error:
            raise NodeStateError(
                f"{self.folder.root} cannot be read: {error.strerror}", hint="put the channel's root.json there again"
            ) from error
        if len(data) > LARGEST_ROOT_BYTES:
            raise MalformedError(f"{self.folder.root} has more than {LARGEST_ROOT_BYTES} bytes")
        return data

    def learn(self, followed: Followed) -> None:
        """Remember what the channel said.

        Raises:
            RollbackError: Its version is lower than one that it offered before.
            StorageError: The system refuses.
        """
        self.state = learned(self.state, followed, checked=self.now())
        save_state(self.world.disk, self.folder.state, self.state)

    def objection(self, slot: Slot) -> str:
        """Why a slot may not run, as far as can be told without hashing it; "" where nothing speaks against it."""
        record = slot.record
        if record.target != self.settings.model:
            return f"it holds {record.target}, and the node is for {self.settings.model}"
        if barred := self.bars(record.deployed.version):
            return barred
        held = self.quarantined(record.deployed.release)
        if held and record.deployed.variant in held.variants:
            return f"it failed its self-test on this machine: {held.variants[record.deployed.variant]}"
        return slot.glance()

    def bars(self, version: int) -> str:
        """Why the channel lets no release of a version run; "" where it does."""
        if version < self.state.oldest:
            return f"version {version} is revoked: {self.state.oldest} is the oldest that may run"
        if version > self.state.newest:
            return f"version {version} was offered by keys that the channel has replaced"
        return ""

    def quarantined(self, release: str) -> Quarantined | None:
        """What is held against a release on this very machine and with these runtimes."""
        found = read_quarantined(self.folder, release)
        return found if found and found.holds(self.machine, self.world.clock()) else None

    def refuse(self, deployed: Deployed, error: Exception) -> None:
        """Sign that a variant failed here, and do not try it again.

        The receipt comes first: cut off in between, the variant is tried and refused once more, and none goes unsigned.

        Raises:
            StorageError: The system refuses.
            KeyFileError: The node's key cannot be opened.
        """
        reason = str(error)[:LONGEST_REASON]
        try:
            self.sign(Event.REFUSED, deployed, Trial(False, reason=reason), reason)
        finally:
            held = self.quarantined(deployed.release) or self._unheld(deployed.release, deployed.version)
            held = replace(held, variants={**held.variants, deployed.variant: reason})
            save_quarantined(self.world.disk, self.folder, held)

    def exhaust(self, release: str, version: int) -> None:
        """Remember that no variant of a release is left to be tried here.

        Raises:
            StorageError: The system refuses.
        """
        held = self.quarantined(release) or self._unheld(release, version)
        save_quarantined(self.world.disk, self.folder, replace(held, exhausted=True))

    def _unheld(self, release: str, version: int) -> Quarantined:
        return Quarantined(release, version, fingerprint(self.machine), self.now())

    def attest(self, slot: Slot | None, *, tested: Trial | None = None, reason: str = "") -> None:
        """Sign which slot runs, or that none does, where the last receipt about that says otherwise.

        What was cut off between a switch and its receipt is made good by the next run, which gets here too.

        Args:
            slot: What runs.
            tested: Its self-test; None takes the one of when it was installed.
            reason: Why something else runs than before.

        Raises:
            StorageError: The system refuses.
            KeyFileError: The node's key cannot be opened.
        """
        last = self.book.last(*SERVING)
        if slot is None:
            if last is not None and last.event is not Event.STOPPED:
                self.sign(Event.STOPPED, None, None, reason)
            return
        deployed = slot.record.deployed
        if last is not None and last.deployed == deployed:
            return
        before = any(item.deployed == deployed for item in self.book.readable(Event.INSTALLED))
        event = Event.ROLLED_BACK if before else Event.INSTALLED
        self.sign(event, deployed, tested or slot.record.tested, reason if before else "")

    def sign(self, event: Event, deployed: Deployed | None, tested: Trial | None, reason: str) -> None:
        """Add a receipt.

        Raises:
            StorageError: The system refuses.
            KeyFileError: The node's key cannot be opened.
        """
        machine = Machine(self.machine.os, self.machine.arch, self.machine.isa)
        receipt = Receipt(
            self.public_key.did, 1, "", event, self.now(), self.settings.model, machine, dict(self.state.versions),
            deployed, tested, reason,
        )  # fmt: skip
        self.book.add(self.world.disk, receipt, self.key)

    def now(self) -> str:
        """The node's clock, RFC 3339 in UTC, whole seconds."""
        return self.world.clock().strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def open_node(path: Path, world: World) -> Iterator[Node]:
    """A node to work on; no other process can meanwhile, and this one receives no more than the node's limit.

    Raises:
        InputError: `path` is no node, or its settings cannot be used.
        NodeStateError: Another process works on it.
        StorageError: Its folder cannot be written.
    """
    folder = find_node(path)
    with locked(folder):
        node = Node(folder, world)
        if node.fault:
            world.tell(f"state.json is put together anew from the slots: {node.fault}")
            save_state(world.disk, folder.state, node.state)
        with INFLOW.limited(node.settings.download_bytes_per_s):
            yield node


def look_at(path: Path, world: World) -> Node:
    """A node to look at; nothing in its folder is changed, and it may be at work.

    Raises:
        InputError: `path` is no node, or its settings cannot be used.
    """
    return Node(find_node(path), world)


def integrity(slot: Slot) -> str:
    """Why a slot is not what was installed, every file hashed; "" where it is."""
    try:
        slot.check()
    except TrustError as error:
        return str(error)
    return ""
