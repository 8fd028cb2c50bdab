"""A node with a policy, whose log is honest: what it remembers, cosigns, shows, and hands on to others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.cli.node_status import tell
from edgekit.errors import InputError, ProofError, SplitViewError
from edgekit.node.disk import Disk
from edgekit.node.log_policy import log_memory, policy_of
from edgekit.node.opened import look_at
from edgekit.node.settings import NodeSettings, SeedSettings, TransparencySettings, read_settings, write_settings
from edgekit.node.setup import set_up
from edgekit.node.status import Status, read_status
from edgekit.node.update import Outcome
from edgekit.node.witnessing import cosigned_file
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.note import COSIGNATURE, VerifierKey, read_note
from edgekit.types.plain import from_plain, to_plain
from tests.node.neighbours import gateway, has_documents, has_file, until
from tests.node.notary import Notary
from tests.node.scene import MODEL, Scene

OTHERS = 700
"""Entries of other models: the log has tiles of two levels."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    return scene


@pytest.fixture
def notary(scene: Scene) -> Notary:
    notary = Notary(scene.publisher.folder)
    notary.append(*(b"entry %d" % number for number in range(OTHERS)))
    notary.record(scene.publisher.built[1].path)
    return notary


def set_up_with(scene: Scene, notary: Notary, *channels: str, **settings: object) -> None:
    """A node with the policy from its first moment on."""
    asked = TransparencySettings(**settings)  # type: ignore[arg-type]
    urls = channels or (str(scene.publisher.folder),)
    root = scene.publisher.repository.first_root
    set_up(
        scene.path, NodeSettings(MODEL, urls, transparency=asked), root, None, disk=Disk(), policy=notary.policy()
    )  # fmt: skip


def remembered(scene: Scene) -> int:
    """Entries of the newest head that the node knows."""
    node = look_at(scene.path, scene.world)
    newest = log_memory(node.folder).newest(policy_of(node).logs[0].key)
    return newest.checkpoint.size if newest else 0


def test_the_newest_head_is_remembered_at_every_update(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary)
    assert scene.update().outcome is Outcome.INSTALLED
    assert remembered(scene) == OTHERS + 1
    notary.append(b"x", b"y")
    assert scene.update().outcome is Outcome.UNCHANGED
    assert remembered(scene) == OTHERS + 3, "a head that no witness has seen yet is remembered too"


def test_proofs_are_kept_for_what_lies_in_a_slot(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary)
    scene.update()
    releases = [scene.serving().record.deployed.release]
    for version in (2, 3):
        notary.record(scene.publisher.release(version).path)
        scene.update()
        releases.append(scene.serving().record.deployed.release)
    scene.update()
    kept = {path.stem for path in (scene.folder.trust / "proofs").iterdir()}
    assert kept == set(releases), "that of the first is only known to be useless at the next installation"
    notary.record(scene.publisher.release(4).path)
    scene.update()
    kept = {path.stem for path in (scene.folder.trust / "proofs").iterdir()}
    assert len(kept) == 3
    assert releases[0] not in kept


def test_a_kept_proof_is_enough_where_the_channel_lost_its_own(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary)
    scene.update()
    shutil.rmtree(scene.publisher.folder / "proofs")
    assert scene.update().outcome is Outcome.UNCHANGED
    shutil.rmtree(scene.folder.trust / "proofs")
    with pytest.raises(ProofError):
        scene.update()


def test_the_log_may_lie_elsewhere(scene: Scene, notary: Notary, tmp_path: Path) -> None:
    shutil.move(scene.publisher.folder / "log", tmp_path / "log")
    set_up_with(scene, notary, logs=(str(tmp_path / "log"), str(tmp_path / "nowhere")))
    updated = scene.update()
    assert (updated.running.version, remembered(scene)) == (1, OTHERS + 1)
    assert list(updated.faults) == [str(tmp_path / "nowhere")]


def test_a_node_cosigns_each_newer_head_once(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary, cosign=True)
    scene.update()
    node = look_at(scene.path, scene.world)
    log = policy_of(node).logs[0].key
    key = VerifierKey(node.public_key.did, node.public_key, COSIGNATURE)
    path = cosigned_file(node.folder, log)
    first = path.read_bytes()
    assert check_cosignature(read_note(first), key) == int(scene.now.timestamp())
    assert read_note(first).text == read_note(notary.log.note).text
    scene.later(hours=1)
    scene.update()
    assert path.read_bytes() == first
    notary.append(b"x")
    scene.update()
    note = read_note(path.read_bytes())
    assert note.text == read_note(notary.log.note).text
    assert check_cosignature(note, key) == int(scene.now.timestamp())


def test_a_key_that_cannot_be_opened_cosigns_nothing_and_stops_nothing(scene: Scene, notary: Notary) -> None:
    asked = TransparencySettings(cosign=True)
    settings = NodeSettings(MODEL, (str(scene.publisher.folder),), transparency=asked)
    root = scene.publisher.repository.first_root
    set_up(scene.path, settings, root, b"tulip-7", disk=Disk(), policy=notary.policy())
    scene.passphrase = lambda: b"tulip-7"
    scene.update()
    notary.append(b"x")
    scene.passphrase = lambda: b"daffodil-8"
    assert scene.update().outcome is Outcome.UNCHANGED
    assert any("is not cosigned" in line for line in scene.told)
    assert not any("tulip" in line or "daffodil" in line for line in scene.told)


@pytest.fixture
def neighbour(scene: Scene, tmp_path: Path) -> Scene:
    """Another node with the same policy, not set up yet."""
    other = Scene(tmp_path / "other")
    other.publisher = scene.publisher
    return other


@pytest.mark.parametrize("knows", [False, True], ids=["a new node", "one that knows an older head"])
def test_a_neighbour_hands_the_log_on(
    scene: Scene, notary: Notary, neighbour: Scene, tmp_path: Path, knows: bool
) -> None:
    """The channel is gone, and its log with it; proofs, the head and its hashes are still there."""
    if knows:
        set_up_with(neighbour, notary)
        neighbour.update()
    set_up_with(scene, notary, cosign=True)
    second = scene.publisher.release(2, seed=2)
    notary.append(*(b"more %d" % number for number in range(300)))
    notary.record(second.path)
    scene.update()
    with gateway(scene) as (url, _):
        until(lambda: has_documents(scene, url) and has_file(url, "log/checkpoint"))
        shutil.move(scene.publisher.folder, tmp_path / "gone")
        if knows:
            settings = neighbour.folder.settings
            write_settings(Disk(), settings, replace(read_settings(settings), channels=(url,)))
        else:
            set_up_with(neighbour, notary, url)
        updated = neighbour.update()
    assert (updated.running.version, updated.faults, neighbour.version()) == (2, {}, 2)
    assert remembered(neighbour) == notary.log.checkpoint.size
    assert not any("vouch" in line for line in neighbour.told)


def test_status_shows_the_log(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary)
    found = read_status(look_at(scene.path, scene.world))
    assert found.log is not None
    assert (found.log.heads, found.log.is_proven, found.log.quorum, found.log.fault) == ({}, False, "them", "")
    scene.update()
    found = read_status(look_at(scene.path, scene.world))
    assert found.log is not None
    assert (dict(found.log.heads), found.log.is_proven) == ({"log.example/models": OTHERS + 1}, True)
    assert from_plain(Status, to_plain(found), where="status") == found
    forked = notary.fork(scene.publisher.folder.with_name("forked"), at=5)
    forked.append(*(b"other %d" % number for number in range(OTHERS)))
    shutil.rmtree(scene.publisher.folder / "log")
    shutil.copytree(forked.channel / "log", scene.publisher.folder / "log")
    with pytest.raises(SplitViewError):
        scene.update()
    found = read_status(look_at(scene.path, scene.world))
    assert found.log is not None
    assert len(found.log.evidence) == 1
    (scene.path / "policy.txt").write_text("quorum none")
    found = read_status(look_at(scene.path, scene.world))
    assert found.log is not None
    assert "is not the policy" in found.log.fault


def test_how_it_is_told(scene: Scene, notary: Notary) -> None:
    set_up_with(scene, notary)
    scene.update()
    lines = list(tell(read_status(look_at(scene.path, scene.world))))
    assert f"log         log.example/models, {OTHERS + 1} entries seen" in lines
    assert any("what runs is shown by it" in line for line in lines)


# Settings


def test_settings_survive_being_written(tmp_path: Path, scene: Scene, notary: Notary) -> None:
    settings = NodeSettings(
        MODEL, ("https://a.example/c",), 30.0, ("torrent:https://a.example/c?dht=on", "ipfs:https://b.example"),
        TransparencySettings(policy_sha256="ab" * 32, logs=("https://log.example",), cosign=True),
        SeedSettings(1000, 10**9), download_bytes_per_s=20_000,
    )  # fmt: skip
    path = tmp_path / "node.toml"
    write_settings(Disk(), path, settings)
    assert read_settings(path) == settings


def test_settings_of_version_0_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('schema = "edgekit.node/1"\nmodel = "vision/net"\nchannels = ["/srv/c"]\nself_test_s = 120.0\n')
    found = read_settings(path)
    assert (found.sources, found.transparency, found.seed) == ((), None, SeedSettings())


@pytest.mark.parametrize(
    "line",
    [
        'sources = ["a", "a"]',
        'sources = [""]',
        'source = ["a"]',
        'transparency = {policy = "../root.txt"}',
        'transparency = {policy = "node.toml"}',
        'transparency = {policy = "policy.txt", policy_sha256 = "AB"}',
        'transparency = {logs = ["x", "x"]}',
        'transparency = {quorum = "none"}',
        "transparency = {cosign = 1}",
        "seed = {keep_bytes = -1}",
        "seed = {upload_bytes_per_s = 1.5}",
        "seed = {upload = 1}",
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, line: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(f'schema = "edgekit.node/1"\nmodel = "vision/net"\nchannels = ["/srv/c"]\n{line}\n')
    with pytest.raises(InputError):
        read_settings(path)


def test_what_is_as_ever_is_not_written(scene: Scene) -> None:
    """So that an older edgekit reads the settings of a node that uses nothing new."""
    scene.set_up()
    text = scene.folder.settings.read_text()
    assert {line.split(" ")[0] for line in text.splitlines() if " = " in line} == {
        "schema", "model", "channels", "self_test_s",
    }  # fmt: skip


def test_a_policy_and_the_wish_for_one_come_together(scene: Scene, notary: Notary) -> None:
    root, policy = scene.publisher.repository.first_root, notary.policy()
    settings = NodeSettings(MODEL, ("x",))
    asked = replace(settings, transparency=TransparencySettings())
    for wrong, data in ((settings, policy), (asked, None), (asked, b"quorum none\n"), (asked, b"\xff"), (asked, b"")):
        with pytest.raises(InputError):
            set_up(scene.path, wrong, root, None, disk=Disk(), policy=data)
    assert not scene.path.exists()
    set_up(scene.path, replace(asked, sources=("stick",)), root, None, disk=Disk(), policy=policy)
    found = read_settings(scene.folder.settings)
    assert found.transparency is not None
    assert found.transparency.policy_sha256 == digest.of_bytes(policy)
    assert found.sources == (str(Path("stick").absolute()),)
