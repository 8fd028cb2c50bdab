"""A channel with everything in it: metadata, files, torrents, deltas, a log, proofs; read by a node with a policy.

Some mutants are signed again: the delta index, by a thief of the family's keys, or a head of the log by its owner, whom
no witness follows. What only saves bytes, torrents and deltas, never keeps a release out, and never lets one in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from edgekit import digest
from edgekit.addressing.torrent import read_torrent, torrent_file
from edgekit.channel.names import deltas_file, deltas_path
from edgekit.delta.codecs import CODECS
from edgekit.delta.index import read_index, write_index
from edgekit.delta.making import describe
from edgekit.errors import EdgekitError
from edgekit.node import patching
from edgekit.node.disk import Disk
from edgekit.node.folder import NodeFolder
from edgekit.node.log_policy import kept_proof, log_memory
from edgekit.node.opened import look_at, open_node
from edgekit.node.rollback import serving
from edgekit.node.settings import NodeSettings, TransparencySettings, write_settings
from edgekit.node.setup import set_up
from edgekit.node.update import update
from edgekit.node.world import World
from edgekit.publish.publishing import publish
from edgekit.seal.key_files import write_key
from edgekit.transparency.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from edgekit.transparency.note import VerifierKey, read_note, write_note
from edgekit.transparency.policy import Policy, read_policy
from edgekit.transparency.proof import check_proof
from edgekit.types.blob import Blob
from edgekit.types.manifest import Manifest
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.delta_kinds import applied_here
from tests.fuzz.folders import Tree, read_tree, write_tree
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.json_text import read, write
from tests.fuzz.kinds import Kind, hold, refusing_is_a_fault
from tests.fuzz.node_kinds import CHANNEL, files_of, passing
from tests.fuzz.patch_mutation import Pair, mutate_patch
from tests.fuzz.resigning import resign
from tests.fuzz.specimens import Specimens, read_specimen, role_key
from tests.node.notary import ORIGIN, Notary, leaf_of
from tests.node.scene import MACHINE
from tests.publish.lab import MODEL, NOW, Lab
from tests.publish.related import MODELS, related

LOG, WITNESSES = role_key(210), {"w0": role_key(211), "w1": role_key(212)}
LOG_KEY = VerifierKey(ORIGIN, LOG.public)
OTHERS = tuple(b"entry %d" % number for number in range(300))
"""Entries of the log before the releases: its first tile is full."""
GROUPS = ("blobs", "deltas", "log", "metadata", "proofs", "torrents")
SAVING = ("deltas", "torrents")
"""What only saves bytes."""


@dataclass(frozen=True)
class Channel:
    """Files of a channel; which of them were changed, and whether the log's owner signed what is there."""

    files: Mapping[str, bytes]
    groups: frozenset[str]
    is_log_resigned: bool = False


def whole_channel_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """The one."""
    maker = _Channels(specimens)
    yield Kind(
        "channel-whole",
        "the release that was signed and logged runs, or what ran before; deltas and torrents decide nothing",
        maker.draw,
        maker.judge,
        400,
    )


@dataclass(frozen=True)
class _Scene:
    """What every case begins from.

    Attributes:
        files: Of the channel, whose release is version 2; it has a delta from version 1.
        node: A node that runs version 1.
        runs: Version -> digests of the files that run.
        heads: Size and root of each head that the log signed.
        leaf: Of version 2.
        manifest: The same.
        policy: Of the node.
        groups: As `GROUPS`, each with the names of its files.
    """

    files: Mapping[str, bytes]
    node: Tree
    runs: Mapping[int, Mapping[str, str]]
    heads: frozenset[tuple[int, bytes]]
    leaf: bytes
    manifest: Manifest
    policy: Policy
    groups: Mapping[str, tuple[str, ...]]


class _Channels:
    def __init__(self, specimens: Specimens) -> None:
        self._folder = specimens.folder / "whole"
        self._specimens = specimens
        self._world = World(clock=lambda: NOW, probe=lambda folder: MACHINE, self_test=passing)

    @cached_property
    def _lab(self) -> Lab:
        """Writes the channel; with the same keys as that of other kinds."""
        lab = Lab(
            self._folder / "lab",
            root=[role_key(1), role_key(2), role_key(3)],
            targets=[role_key(4)],
            vision=[role_key(5), role_key(6)],
            online=[role_key(7)],
            publisher=self._specimens.publisher,
        )
        lab.found()
        return lab

    @cached_property
    def _scene(self) -> _Scene:
        self._folder.mkdir(parents=True)
        before = os.getcwd()
        os.chdir(self._folder)
        try:
            return self._made()
        finally:
            os.chdir(before)

    def _made(self) -> _Scene:
        notary = Notary(Path("channel"), LOG)
        notary.witnesses = dict(WITNESSES)
        notary.append(*OTHERS)
        heads, runs = {self._release(notary, 1)}, {}
        settings = NodeSettings(MODEL, (CHANNEL,), transparency=TransparencySettings())
        root, policy = self._lab.place.files["metadata/1.root.json"], notary.policy()
        set_up(Path("node"), settings, root, None, disk=Disk(), policy=policy)
        settings = replace(settings, transparency=TransparencySettings(policy_sha256=digest.of_bytes(policy)))
        write_settings(Disk(), Path("node", "node.toml"), settings)  # the channel's URL relative again
        write_key(self._specimens.node, Path("node", "identity.key"), None, replace=True)
        runs[1] = self._updated(Path("node"))
        node = read_tree(Path("node"))
        heads.add(self._release(notary, 2))
        files = {name: data for name, data in read_tree(Path("channel")).items() if isinstance(data, bytes)}
        runs[2] = self._updated(Path("node"))
        bundle = self._folder / "bundle-2" / "net.edgekit"
        return _Scene(
            files, node, runs, frozenset(heads), leaf_of(bundle), read_specimen(bundle).manifest,
            read_policy(policy), _groups(files),
        )  # fmt: skip

    def _release(self, notary: Notary, version: int) -> tuple[int, bytes]:
        """Publish and log; gives the log's head."""
        bundle = related(self._folder / f"bundle-{version}", self._specimens.publisher, version, name=MODEL)
        publish(bundle.path, self._lab.place, self._lab.settings(), now=NOW)
        write_tree(notary.channel, dict(self._lab.place.files))
        notary.record(bundle.path)
        head = read_checkpoint(read_note(notary.log.note).text)
        return head.size, head.root

    def draw(self, random: Random) -> Channel:
        scene = self._scene
        files, changed = dict(scene.files), set()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            group = random.choice(
                ("deltas", "deltas", "torrents", "proofs", "proofs", "log", "log", "blobs", "metadata")
            )
            changed.add(group)
            name = random.choice(scene.groups[group])
            how = random.random()
            if how < 0.15:
                files.pop(name, None)
            elif how < 0.3:
                files[name] = scene.files[random.choice(scene.groups[random.choice((group, *GROUPS))])]
            elif name in files:
                files[name] = mutate_bytes(random, files[name], [scene.files[random.choice(scene.groups[group])]])
        if random.random() < 0.3:
            changed.add("deltas")
            files = self._with_deltas(random, files)
        is_resigned = random.random() < 0.15
        if is_resigned:
            size = random.choice((1, 299, 300, 301, 302, 303, 2**40))
            root = random.choice((random.randbytes(32), *sorted(root for _, root in scene.heads)))
            note = sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG)
            files["log/checkpoint"] = write_note(note)
        return Channel(files, frozenset(changed), is_resigned)

    def _with_deltas(self, random: Random, files: dict[str, bytes]) -> dict[str, bytes]:
        """Another delta index, and another patch, signed by the family."""
        pair = Pair(MODELS[1], MODELS[2], _patches())
        codec = random.choice(sorted(pair.patches))
        data, size_bytes = mutate_patch(random, codec, pair)
        target = Blob(digest.of_bytes(pair.new), len(pair.new) if random.random() < 0.8 else size_bytes)
        index = write_index([describe(data, codec=codec, base=pair.old, target=target)])
        if random.random() < 0.3:
            index = mutate_json(random, index)
        sha256 = digest.of_bytes(index)

        def offer(signed: bytes) -> bytes:
            document = json.loads(signed)
            document["version"] += 1
            document["targets"][deltas_path(MODEL)] = {"length": len(index), "hashes": {"sha256": sha256}}
            return write(read(json.dumps(document).encode()))

        try:
            found = resign(self._lab, files, "vision", offer)
        except (ValueError, KeyError, TypeError):
            return files  # the metadata was changed before so that nobody can sign it again
        return found | {deltas_file(MODEL, sha256): index, f"blobs/sha256/{digest.of_bytes(data)}": data}

    def judge(self, channel: Channel, place: Path) -> None:
        scene, folder = self._scene, place / "node"
        write_tree(folder, scene.node)
        write_tree(place / "channel", channel.files)
        try:
            found = self._updated(folder)
        except EdgekitError:
            hold(self._running(folder) == scene.runs[1], "what ran before does not run any more")
            only = channel.groups <= set(SAVING) and not channel.is_log_resigned
            hold(not only, "a release was kept out by what only saves bytes")
            raise
        finally:
            hold(sorted(os.listdir(place)) == ["channel", "node", "tmp"], "something lies beside the node")
            hold(read_tree(place / "channel") == dict(channel.files), "the channel was changed")
        if not channel.groups & {"metadata"}:
            hold(found == scene.runs[2], "it is not the release that was signed")
        hold(found in scene.runs.values(), "something runs that nobody signed")
        with refusing_is_a_fault():
            self._judge_trust(channel, folder, found == scene.runs[2])
        for file in scene.manifest.files:
            _judge_torrent(channel.files.get(torrent_file(file.sha256)), file.blob)

    def _judge_trust(self, channel: Channel, folder: Path, is_new: bool) -> None:
        """What the node believes of the log afterwards."""
        known = log_memory(NodeFolder(folder)).newest(LOG_KEY)
        hold(known is not None, "the log is forgotten")
        if known and not channel.is_log_resigned:
            hold((known.checkpoint.size, known.checkpoint.root) in self._scene.heads, "a head that nobody signed")
        proof = kept_proof(NodeFolder(folder), digest_of_release(self._scene.leaf))
        if is_new and proof.exists():
            proven = check_proof(proof.read_bytes(), self._scene.leaf, self._scene.policy)
            hold((proven.size, proven.checkpoint.root) in self._scene.heads, "proved by a head that nobody signed")

    def _updated(self, path: Path) -> Mapping[str, str]:
        """What runs after an update."""
        with (
            applied_here(),
            patch.object(patching, "memory_bytes", lambda: 2**33),
            open_node(path, self._world) as node,
        ):
            update(node)
        return self._running(path)

    def _running(self, path: Path) -> Mapping[str, str]:
        return files_of(serving(look_at(path, self._world)))


def _groups(files: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of the files of each group."""
    (index,) = (name for name in files if "+deltas" in name)
    deltas = {index, *(delta.blob.file_name for delta in read_index(files[index]))}
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in sorted(files):
        folder = "deltas" if name in deltas else name.partition("/")[0]
        found["metadata" if folder == "targets" else folder].append(name)
    return {group: tuple(names) for group, names in found.items()}


@cache
def _patches() -> dict[str, bytes]:
    made = {name: codec.make(MODELS[1], MODELS[2]) for name, codec in CODECS.items()}
    return {name: data for name, data in made.items() if data}


def digest_of_release(leaf: bytes) -> str:
    """Of the release's index, as its leaf says."""
    found: str = json.loads(leaf)["release"]
    return found


def _judge_torrent(data: bytes | None, blob: Blob) -> None:
    try:
        torrent = read_torrent(data or b"", blob=blob)
    except EdgekitError:
        return
    hold((torrent.name, torrent.size_bytes) == (blob.sha256, blob.size_bytes), "a torrent of another file")
    addresses = blob.addresses
    hold(addresses is not None and torrent.infohash == addresses.infohash, "a torrent that nobody signed")
