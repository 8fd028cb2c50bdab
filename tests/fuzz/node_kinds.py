"""Nodes: folders that were damaged, and releases that are well signed and make no sense."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit import digest
from edgekit.errors import EdgekitError
from edgekit.node.disk import Disk
from edgekit.node.opened import look_at, open_node
from edgekit.node.rollback import serving
from edgekit.node.settings import NodeSettings, write_settings
from edgekit.node.setup import set_up
from edgekit.node.slots import Slot
from edgekit.node.status import read_status
from edgekit.node.update import update
from edgekit.node.world import World
from edgekit.seal.dsse import pae
from edgekit.seal.key_files import write_key
from edgekit.seal.statement import PAYLOAD_TYPE
from edgekit.types.manifest import Variant
from edgekit.types.receipt import Trial
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.folders import Link, Tree, mutate_names, read_tree, write_tree
from tests.fuzz.forge import forge, loosely
from tests.fuzz.json_mutation import is_json, mutate_json, mutate_tree
from tests.fuzz.json_text import Pairs, read, write
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.manifest_mutation import mutate_manifest
from tests.fuzz.resigning import resign
from tests.fuzz.specimens import Specimens
from tests.node.scene import MACHINE
from tests.publish.lab import MODEL, NOW

CHANNEL = "file:channel"
"""Below the working directory, so that `node.toml` is the same wherever a case runs."""


@dataclass(frozen=True)
class Release:
    """A release that a channel offers.

    Attributes:
        channel: Files of the channel.
        manifest: `manifest.json` of the release.
    """

    channel: Mapping[str, bytes]
    manifest: bytes


def node_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Nodes(specimens)
    yield Kind(
        "node-folder",
        "what may run is a release as its publisher signed it; after an update it is the current one",
        maker.draw_folder,
        maker.judge_folder,
        250,
    )
    yield Kind(
        "node-install",
        "what runs is the release that was signed; where it is refused, what ran before runs on",
        maker.draw_release,
        maker.judge_release,
        300,
    )


class _Nodes:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens
        self._world = World(clock=lambda: NOW, probe=lambda folder: MACHINE, self_test=passing)

    @cached_property
    def _tree(self) -> Tree:
        """A node that installed version 1, and then version 2."""
        folder = self._specimens.folder / "node-work"
        folder.mkdir(parents=True)
        before = os.getcwd()
        os.chdir(folder)
        try:
            write_tree(folder / "channel", self._specimens.earlier)
            set_up(folder / "node", NodeSettings(MODEL, (CHANNEL,)), self._root, None, disk=Disk())
            write_settings(Disk(), folder / "node" / "node.toml", NodeSettings(MODEL, (CHANNEL,)))
            write_key(self._specimens.node, folder / "node" / "identity.key", None, replace=True)
            self._update(folder / "node")
            write_tree(folder / "channel", self._latest)
            self._update(folder / "node")
            return read_tree(folder / "node")
        finally:
            os.chdir(before)

    @cached_property
    def _latest(self) -> Mapping[str, bytes]:
        return dict(self._specimens.lab.place.files)

    @cached_property
    def _root(self) -> bytes:
        return self._latest["metadata/1.root.json"]

    @cached_property
    def _installed(self) -> Mapping[str, Mapping[str, str]]:
        """Slot -> digests of its files, as they were signed."""
        return {name: _digests(self._tree, f"slots/{name}/files/") for name in ("a", "b")}

    def draw_folder(self, random: Random) -> Tree:
        tree = dict(self._tree)
        _ = self._installed
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            name = random.choice(sorted(tree))
            entry = tree[name]
            if not isinstance(entry, bytes):
                tree[name] = Link(
                    random.choice(("slots/a", "slots/b", "slots/next", "slots", ".", "..", "nowhere", "../x"))
                )
            elif random.random() < 0.25:
                mutate_names(random, tree, others={}, is_foreign=False)
            elif is_json(entry) and random.random() < 0.75:
                tree[name] = self._mutate_record(random, entry)
            else:
                tree[name] = mutate_bytes(random, entry, [one for one in tree.values() if isinstance(one, bytes)][:3])
        return tree

    def judge_folder(self, tree: Tree, place: Path) -> None:
        write_tree(place / "node", tree)
        write_tree(place / "channel", self._latest)
        for thorough in (False, True):
            try:
                read_status(look_at(place / "node", self._world), thorough=thorough)
            except EdgekitError:
                continue
        try:
            found = serving(look_at(place / "node", self._world))
        except EdgekitError:
            pass
        else:
            hold(files_of(found) in self._installed.values(), "something may run that nobody published")
        self._update(place / "node")
        hold(files_of(serving(look_at(place / "node", self._world))) in self._installed.values(), "something else runs")

    def draw_release(self, random: Random) -> Release:
        _ = self._tree
        source = self._specimens.large if random.random() < 0.05 else self._specimens.third
        others = [self._specimens.successor.manifest_bytes, self._specimens.bundle.index]
        written = source.manifest_bytes
        if random.random() < 0.95:
            written = mutate_manifest(random, written, others)
        made = forge(source, manifest=written, signer=self._specimens.publisher)
        manifest = loosely(written, source.manifest)
        notice = {
            "version": manifest.version, "semver": manifest.semver, "oldest": 1,
            "signers": [self._specimens.publisher.public.pem],
        }  # fmt: skip
        sha256 = hashlib.sha256(made.index).hexdigest()
        target = {"length": len(made.index), "hashes": {"sha256": sha256}, "custom": {"edgekit": notice}}

        def offer(signed: bytes) -> bytes:
            document = json.loads(signed)
            document["version"] += 1
            document["targets"][f"{MODEL}.json"] = target
            tree = read(json.dumps(document).encode())
            return write(mutate_tree(random, tree) if random.random() < 0.1 else tree)

        channel = resign(self._specimens.lab, self._latest, "vision", offer)
        family, _, name = MODEL.partition("/")
        channel[f"targets/{family}/{sha256}.{name}.json"] = made.index
        channel |= {f"blobs/sha256/{name}": data for name, data in made.blobs.items()}
        return Release(channel, written)

    def judge_release(self, release: Release, place: Path) -> None:
        write_tree(place / "node", self._tree)
        write_tree(place / "channel", release.channel)
        try:
            self._update(place / "node")
        except EdgekitError:
            found = files_of(serving(look_at(place / "node", self._world)))
            hold(found == self._installed["b"], "what ran before does not run any more")
            raise
        finally:
            hold(sorted(os.listdir(place)) == ["channel", "node", "tmp"], "something lies beside the node")
            hold(read_tree(place / "channel") == dict(release.channel), "the channel was changed")
        slot = serving(look_at(place / "node", self._world))
        if files_of(slot) == self._installed["b"]:
            return  # the mutation took the new release out of the channel again
        variant = slot.variant()
        manifest = slot.manifest()
        said = {path: manifest.file(path).sha256 for path in variant.files}
        said["manifest.json"] = hashlib.sha256(release.manifest).hexdigest()
        hold(files_of(slot) == said, "other files run than those that were signed")

    def _mutate_record(self, random: Random, data: bytes) -> bytes:
        """JSON; half of the time what vouches for it is made right again: the checksum, or the node's signature."""
        if random.random() < 0.5:
            return mutate_json(random, data)
        found = json.loads(data)
        if set(found) == {"record", "sha256"}:
            record = mutate_tree(random, read(json.dumps(found["record"]).encode()))
            text = write(record)
            return write(Pairs([["record", record], ["sha256", digest.of_bytes(text)]]))
        if "payloadType" in found:
            payload = mutate_json(random, base64.b64decode(found["payload"]))
            signature = self._specimens.node.sign(pae(PAYLOAD_TYPE, payload))
            found["payload"] = base64.b64encode(payload).decode()
            found["signatures"] = [{"keyid": "", "sig": base64.b64encode(signature).decode()}]
            return write(read(json.dumps(found).encode()))
        return mutate_json(random, data)

    def _update(self, path: Path) -> None:
        with open_node(path, self._world) as node:
            update(node)


def passing(folder: Path, variant: Variant, *, timeout_s: float) -> Trial:
    """A self-test that is always passed: what is tried here is everything before it."""
    del timeout_s
    hold(all((folder / path).is_file() for path in variant.files), "a file of the variant is missing")
    return Trial(True, "onnxruntime", "1.30.0", "ff" * 32)


def files_of(slot: Slot) -> Mapping[str, str]:
    return _digests(read_tree(slot.files), "")


def _digests(tree: Tree, folder: str) -> dict[str, str]:
    return {
        name.removeprefix(folder): hashlib.sha256(data).hexdigest()
        for name, data in tree.items()
        if name.startswith(folder) and isinstance(data, bytes)
    }
