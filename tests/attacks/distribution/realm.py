"""What the attacks on distribution share: a real channel, a real node that runs from it, and what an attacker may do.

The channel is written by `edgekit.publish` into a folder; the node tests and installs its releases with the real
runtime.

An attacker is a `Forger`: a copy of the channel's folder, which every mirror has, and the private keys that were
stolen. `Realm.refuses` is what it means to be safe: the named error, and not one byte of what runs has changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgekit.errors import EdgekitError
from edgekit.node.disk import Disk
from edgekit.node.opened import look_at, open_node
from edgekit.node.receipts import check_chain
from edgekit.node.rollback import serving
from edgekit.node.run_once import Round, run_once
from edgekit.node.settings import NodeSettings, read_settings, write_settings
from edgekit.node.setup import set_up
from edgekit.node.update import Updated, update
from edgekit.node.world import World
from edgekit.publish.change import Change, sign_change
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import ChannelPlan, Signers, plan_channel
from edgekit.publish.key_changes import Rotation, rotate_keys
from edgekit.publish.publishing import PublishSettings, publish
from edgekit.publish.records import Records, read_records
from edgekit.publish.release_changes import prolong
from edgekit.seal.keys import MemoryKey, PublicKey, generate
from edgekit.transport.file import FileTransport
from tests.attacks.distribution.forger import Forger
from tests.attacks.distribution.releases import MODEL, draft
from tests.bundle.building import Alter, Built, write_bundle

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def ed25519() -> MemoryKey:
    return generate("ed25519")


@dataclass
class Keys:
    """Every private key of the channel.

    Attributes:
        root: 2 of 3 have to sign.
        targets: 2 of 2.
        vision: The family of the node's model, 2 of 2.
        audio: Another family.
        online: Snapshot and timestamp.
        publisher: Signs models of `vision`, P-256.
        narrator: The same of `audio`.
    """

    root: list[MemoryKey] = field(default_factory=lambda: [ed25519() for _ in range(3)])
    targets: list[MemoryKey] = field(default_factory=lambda: [ed25519() for _ in range(2)])
    vision: list[MemoryKey] = field(default_factory=lambda: [ed25519() for _ in range(2)])
    audio: list[MemoryKey] = field(default_factory=lambda: [ed25519()])
    online: list[MemoryKey] = field(default_factory=lambda: [ed25519()])
    publisher: MemoryKey = field(default_factory=lambda: generate("p256"))
    narrator: MemoryKey = field(default_factory=lambda: generate("p256"))


def publics(keys: Iterable[MemoryKey]) -> tuple[PublicKey, ...]:
    return tuple(key.public for key in keys)


class Realm:
    """A channel, the node that follows it, and the clock of both.

    Attributes:
        folder: Of everything.
        keys: All private keys.
        channel: The channel's folder.
        node: The node's folder.
        now: The time.
        told: What the node said.
    """

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder = folder
        self.keys = keys
        self.channel = folder / "channel"
        self.old = folder / "old"
        self.node = folder / "node"
        self.now = NOW
        self.told: list[str] = []
        self._drafts = 0

    # The owner of the channel

    def found(self) -> None:
        """Write the channel."""
        keys = self.keys
        plan = ChannelPlan(
            Signers(publics(keys.root), 2),
            Signers(publics(keys.targets), 2),
            Signers(publics(keys.online)),
            {"vision": Signers(publics(keys.vision), 2), "audio": Signers(publics(keys.audio))},
        )
        change = plan_channel(plan, self.now)
        sign_change(change, [*keys.root[:2], *keys.targets, *keys.vision, *keys.audio])
        put_in_force(self.place, None, change, keys.online, self.now)

    @property
    def place(self) -> FileTransport:
        return FileTransport(self.channel)

    def records(self) -> Records:
        return read_records(self.place)

    def bundle(
        self,
        version: int,
        *,
        name: str = MODEL,
        key: MemoryKey | None = None,
        contents: Mapping[str, bytes] | None = None,
        alter: Alter | None = None,
    ) -> Built:
        """A bundle, signed by the publisher where nothing else is said; `alter` as in tests.bundle.building."""
        self._drafts += 1
        work = self.folder / f"draft-{self._drafts}"
        content = draft(work / "files", version, name=name, contents=contents)
        return write_bundle(content, work / "net.edgekit", key or self.keys.publisher, alter=alter, provenance=False)

    def publish(self, version: int, *, oldest: int | None = None, name: str = MODEL) -> Built:
        """Publish a good release, with every key."""
        keys = self.keys
        family, signer = (keys.vision, keys.publisher) if name == MODEL else (keys.audio, keys.narrator)
        built = self.bundle(version, name=name, key=signer)
        settings = PublishSettings(tuple(family), tuple(keys.online), (signer.public,), oldest)
        publish(built.path, self.place, settings, now=self.now)
        return built

    def refresh(self, *roles: str, **spans: float) -> None:
        """Sign anew, after some time has passed."""
        self.now += timedelta(**spans)
        keys = self.keys
        change = prolong(self.records(), roles or ("timestamp",), None, self.now)
        sign_change(change, [*keys.root[:2], *keys.targets, *keys.vision, *keys.audio], optional=True)
        put_in_force(self.place, self.records(), change, keys.online, self.now)

    def rotate(self, *roles: str, old: Sequence[MemoryKey], new: Sequence[MemoryKey], restart: bool = False) -> Change:
        """Replace keys; everybody who has to sign does."""
        keys, old = self.keys, list(old)
        records = self.records()
        rotation = Rotation(roles, add=publics(new), remove=publics(old), restart=restart)
        change = rotate_keys(records, rotation, self.now)
        everybody = [*keys.root, *keys.targets, *keys.vision, *keys.audio, *keys.online, *new]
        sign_change(change, everybody, optional=True)
        put_in_force(self.place, records, change, [*keys.online, *new], self.now)
        for role in roles:
            held = getattr(keys, "online" if role in ("snapshot", "timestamp") else role)
            held[:] = [key for key in held if key not in old] + [key for key in new if key not in held]
        return change

    # The node

    def set_up(self, *channels: Path | str) -> None:
        root = (self.channel / "metadata" / "1.root.json").read_bytes()
        set_up(self.node, NodeSettings(MODEL, _urls(channels or (self.channel,))), root, None, disk=Disk())

    def point(self, *channels: Path | str) -> None:
        """Let the node follow other mirrors: whoever sits between it and the channel answers in their place."""
        path = self.node / "node.toml"
        write_settings(Disk(), path, replace(read_settings(path), channels=_urls(channels), self_test_s=30.0))

    @property
    def world(self) -> World:
        return World(clock=lambda: self.now, tell=self.told.append)

    def update(self, *channels: Path | str) -> Updated:
        """Update, from these mirrors where some are given."""
        if channels:
            self.point(*channels)
        with open_node(self.node, self.world) as node:
            return update(node)

    def run_once(self) -> Round:
        with open_node(self.node, self.world) as node:
            return run_once(node)

    def answer(self) -> int:
        """What the installed model answers, every file of it hashed and held against its signature before."""
        slot = serving(look_at(self.node, self.world))
        session = onnxruntime.InferenceSession(slot.files / slot.variant().model, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"x": np.ones((1, 4), np.float32)})
        values = {float(value) for value in np.asarray(found).ravel()}
        assert len(values) == 1
        assert values == {float(slot.record.deployed.version)}
        return slot.record.deployed.version

    def events(self) -> list[str]:
        """Event and version of every receipt, after the whole chain was verified."""
        node = look_at(self.node, self.world)
        found = check_chain([path.read_bytes() for path in node.book.files()], node=node.public_key)
        return [f"{each.event.value} {each.deployed.version if each.deployed else 0}" for each in found]

    @contextmanager
    def refuses(
        self, error: type[EdgekitError], *, match: str = ".", learns: bool = False
    ) -> Iterator[list[EdgekitError]]:
        """The block raises just this error, nothing is installed by it, and what ran before runs and answers.

        Args:
            error: Its very class.
            match: What its message says.
            learns: The channel's metadata was good and may be remembered; else that stays as it was, to the byte.
        """
        before, answer = self.memory(), self.answer()
        caught: list[EdgekitError] = []
        with pytest.raises(EdgekitError, match=match) as raised:
            yield caught
        assert type(raised.value) is error, raised.value
        caught.append(raised.value)
        after = self.memory()
        if learns:
            assert installed(after) == installed(before)
        else:
            assert after == before
        assert not (self.node / "slots" / "next" / "slot.json").exists()
        assert self.answer() == answer

    def memory(self) -> dict[str, bytes | str]:
        """Everything in the node's folder but its settings: content of files, target of links."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.node.rglob("*")):
            if path.is_symlink():
                found[str(path.relative_to(self.node))] = os.readlink(path)
            elif path.is_file() and path.name != "node.toml":
                found[str(path.relative_to(self.node))] = path.read_bytes()
        return found

    # The attacker

    def mirror(self, name: str, *stolen: MemoryKey, of: Path | None = None) -> Forger:
        """A copy of the channel as it is, or as it was, in the hands of somebody with these keys."""
        folder = self.folder / name
        shutil.copytree(of or self.channel, folder)
        return Forger(folder, list(stolen), self.now)

    def offer(self, built: Built) -> Path:
        """A mirror on which a bundle was put in force with the family's keys and the online one; nobody verified it."""
        owner = self.mirror("mirror", *self.keys.vision, *self.keys.online)
        owner.offer(built, signers=[self.keys.publisher.public])
        return owner.folder

    def outside(self) -> set[Path]:
        """Everything around the node's folder."""
        return {path for path in self.folder.parent.rglob("*") if self.node not in path.parents}


def installed(memory: Mapping[str, bytes | str]) -> dict[str, bytes | str]:
    """What a node runs and has signed, without what it knows of the channel or was fetching."""
    known = ("trust/", "state.json", "slots/next/", "quarantine/")
    return {name: data for name, data in memory.items() if not name.startswith(known)}


def _urls(channels: Sequence[Path | str]) -> tuple[str, ...]:
    return tuple(map(str, channels))


def make_realm(folder: Path, keys: Keys) -> Realm:
    """A channel with versions 1 and 2, and a node that installed both in turn; `old` is the channel as it was at 1."""
    folder.mkdir()
    realm = Realm(folder, keys)
    realm.found()
    realm.publish(1)
    realm.set_up()
    realm.update()
    shutil.copytree(realm.channel, realm.old)
    realm.publish(2)
    realm.update()
    assert realm.answer() == 2
    return realm


def copy_realm(realm: Realm, folder: Path) -> Realm:
    """A copy that a test may do anything to; the keys are the same."""
    shutil.copytree(realm.folder, folder, symlinks=True, dirs_exist_ok=True)
    made = Realm(folder, replace(realm.keys, **{name: list(getattr(realm.keys, name)) for name in _LISTS}))
    made._drafts = realm._drafts
    made.point(made.channel)
    return made


_LISTS = ("root", "targets", "vision", "audio", "online")
