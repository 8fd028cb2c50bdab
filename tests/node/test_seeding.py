"""A node that seeds: what it gives out is what others can install from when the channel's own server is gone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.addressing.torrent import read_torrent, torrent_file
from edgekit.delta.index import Delta, write_index
from edgekit.errors import EdgekitError, NodeStateError
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.transport.opening import open_transport
from edgekit.transport.reading import read_all
from tests.node.neighbours import (
    QUIET,
    Window,
    documents,
    gateway,
    has_documents,
    has_file,
    running,
    seeder,
    slot_digests,
    until,
)
from tests.node.scene import MODEL, Scene, flip


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1, variants=2)
    scene.set_up()
    scene.update()
    return scene


def test_what_a_slot_holds_is_given_out_and_takes_no_space(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    assert set(window.blobs) == slot_digests(scene)
    slot = scene.serving()
    inodes = {path.stat().st_ino for path in slot.folder.rglob("*") if path.is_file()}
    assert {path.stat().st_ino for path in window.blobs.values()} <= inodes
    offers = window.offers
    made.giver.look()
    made.giver.look()
    assert window.offers == offers, "nothing is hashed or offered again while nothing changes"


def test_slots_are_onlyread_file(scene: Scene) -> None:
    before = {path: path.read_bytes() for path in scene.folder.slots.rglob("*") if path.is_file()}
    made = seeder(scene, Window())
    made.gather()
    made.giver.look()
    flip(scene.folder.slots / "a" / "files" / "card.md")
    made.giver.look()
    flip(scene.folder.slots / "a" / "files" / "card.md")
    assert {path: path.read_bytes() for path in scene.folder.slots.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("file", ["files/model.v0.onnx", "files/card.md", "files/manifest.json", "model.sig"])
def test_a_slot_that_rots_is_given_out_no_more(scene: Scene, file: str) -> None:
    """Not even its sound files: something is wrong with that disk."""
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    place = scene.folder.slots / "a" / file
    flip(place)
    made.giver.look()
    assert not window.blobs
    assert any("is not given out" in line for line in scene.told)
    flip(place)
    made.giver._checked_at = float("-inf")  # as after six hours: nothing tells that a file was made good
    made.giver.look()
    assert set(window.blobs) == slot_digests(scene)


def test_rot_that_leaves_no_trace_is_found_by_hashing_again(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window, plan=SeedPlan(update_every_s=0.0, recheck_every_s=1000.0))
    made.giver.look()
    place = scene.folder.slots / "a" / "files" / "model.v0.onnx"
    seen = place.stat()
    flip(place)
    os.utime(place, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    made.giver.look()
    assert window.blobs, "this is what a bad sector looks like: a transport's own digests have to find it"
    made.giver._checked_at -= 1000.0
    made.giver.look()
    assert not window.blobs


def test_what_an_outlet_finds_broken_rests_and_comes_back(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    broken = next(iter(window.blobs))
    window.broken = {broken}
    made.giver.look()
    assert broken not in window.blobs
    made.giver.look()
    assert broken not in window.blobs
    made.giver._resting = {broken: 0.0}
    made.giver._retry_at = 0.0
    made.giver.look()
    assert broken in window.blobs


def test_another_release_is_followed_and_the_old_one_let_go(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    first = set(window.blobs)
    for version in (2, 3):
        scene.publisher.release(version, seed=version)
        scene.update()
    made.giver.look()
    running = slot_digests(scene)
    assert running <= set(window.blobs)
    assert not first & set(window.blobs), "its slot holds version 3 by now"
    assert set(os.listdir(scene.path / "share" / "blobs")) == set(window.blobs)


def test_a_revoked_release_is_not_given_out(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    first = slot_digests(scene)
    scene.publisher.release(2, oldest=2, seed=2)
    scene.update()
    made.giver.look()
    assert window.blobs
    assert not {sha256 for sha256 in window.blobs if sha256 in first}


@pytest.mark.parametrize("keep", [0, 10**6])
def test_files_of_other_machines_are_kept_as_far_as_the_budget_goes(scene: Scene, keep: int) -> None:
    window = Window()
    made = seeder(scene, window, plan=SeedPlan(keep_bytes=keep, update_every_s=0.0))
    made.gather()
    made.giver.look()
    manifest = scene.publisher.built[1].draft.manifest
    other = manifest.file("model.v3.onnx").sha256
    assert (other in window.blobs) == bool(keep)
    assert documents(scene) <= set(window.blobs)


def test_the_oldest_is_dropped_when_the_budget_is_full(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    models = {}
    scene.publisher.release(1, variants=2, size_bytes=40_000)
    scene.set_up()
    window = Window()
    made = seeder(scene, window, plan=SeedPlan(keep_bytes=100_000, update_every_s=0.0))
    for version in (1, 2, 3):
        if version > 1:
            scene.publisher.release(version, variants=2, size_bytes=40_000, seed=version)
        scene.later(minutes=10)
        scene.update()
        made.gather()
        made.giver.look()
        manifest = scene.publisher.built[version].draft.manifest
        models[version] = manifest.file("model.v3.onnx").sha256
    assert [version for version, sha256 in models.items() if sha256 in window.blobs] == [2, 3]
    assert made.share.files_bytes() <= 100_000
    again = seeder(scene, other := Window(), plan=made.plan)
    again.giver.look()
    assert set(other.blobs) == set(window.blobs), "what is kept outlives the process"


def test_a_ledger_that_was_damaged_is_as_good_as_none(scene: Scene) -> None:
    made = seeder(scene, Window(), plan=SeedPlan(keep_bytes=10**6, update_every_s=0.0))
    made.gather()
    made.giver.look()
    flip(scene.path / "share" / "kept.json")
    again = seeder(scene, window := Window(), plan=made.plan)
    again.giver.look()
    assert set(window.blobs) == slot_digests(scene) == set(os.listdir(scene.path / "share" / "blobs"))
    again.gather()
    again.giver.look()
    assert len(window.blobs) > len(slot_digests(scene))


def test_a_kept_file_that_rots_is_dropped_and_fetched_again(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window, plan=SeedPlan(keep_bytes=10**6, update_every_s=0.0))
    made.gather()
    made.giver.look()
    other = scene.publisher.built[1].draft.manifest.file("model.v3.onnx").sha256
    flip(window.blobs[other])
    made.giver.look()
    assert other not in window.blobs
    assert not (scene.path / "share" / "blobs" / other).exists()
    made.gather()
    made.giver.look()
    assert other in window.blobs


def test_a_disk_without_hard_links(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    window = Window()
    made = seeder(scene, window)
    made.giver.look()
    assert set(window.blobs) == slot_digests(scene)
    assert all(scene.folder.slots in path.parents for path in window.blobs.values())
    flip(scene.folder.slots / "a" / "files" / "card.md")
    made.giver.look()
    assert not window.blobs


def test_a_share_that_somebody_deletes_is_no_end(scene: Scene) -> None:
    with gateway(scene) as (url, made):
        until(lambda: has_documents(scene, url))
        shutil.rmtree(scene.path / "share")
        until(lambda: not made.given)
        assert not made.stop.is_set()
    assert scene.version() == 1


def test_one_process_seeds_a_node(scene: Scene) -> None:
    with running(Seeder(scene.path, scene.world, [Window()], QUIET)) as first:
        until(lambda: first.given)
        with pytest.raises(NodeStateError, match=r"another process works in .*share"):
            Seeder(scene.path, scene.world, [Window()], QUIET).run()


def test_it_ends_when_its_time_is_over(scene: Scene) -> None:
    began = time.monotonic()
    made = Seeder(scene.path, scene.world, [Window()], SeedPlan(update_every_s=0.0, for_s=0.2))
    made.run()
    assert time.monotonic() - began < 10.0
    assert made.given_out == ({},)


def test_a_new_node_installs_from_another_one_alone(scene: Scene, tmp_path: Path) -> None:
    """The channel is gone; a neighbour has all that it takes: metadata, index, documents, files."""
    with gateway(scene) as (url, _):
        until(lambda: has_documents(scene, url))
        shutil.move(scene.publisher.folder, tmp_path / "gone")
        other = Scene(tmp_path / "other")
        other.publisher = scene.publisher
        other.set_up(url)
        updated = other.update()
        assert (updated.running.version, updated.faults) == (1, {})
        assert other.version() == 1


def test_another_machine_finds_its_files_there(scene: Scene, tmp_path: Path) -> None:
    """What this node has no use for, it keeps for a machine of another kind."""
    plan = SeedPlan(keep_bytes=10**7, update_every_s=0.0)
    other = Scene(tmp_path / "other")
    other.publisher = scene.publisher
    other.trials.failing = {"v0"}
    wanted = scene.publisher.built[1].draft.manifest.file("model.v3.onnx").sha256
    with gateway(scene, plan) as (url, made):
        until(lambda: wanted in made.given and has_documents(scene, url))
        shutil.move(scene.publisher.folder, tmp_path / "gone")
        other.set_up(url)
        assert other.update().running.variant == "v3"


def test_it_updates_itself_and_hands_the_new_release_on(scene: Scene, tmp_path: Path) -> None:
    with gateway(scene, SeedPlan(update_every_s=0.5)) as (url, made):
        until(lambda: has_file(url, "metadata/timestamp.json"))
        second = scene.publisher.release(2, seed=2)
        model = second.draft.manifest.file("model.v0.onnx").sha256
        until(lambda: model in made.given, 20.0)
        assert scene.version() == 2
        other = Scene(tmp_path / "other")
        other.publisher = scene.publisher
        other.set_up(url)
        until(lambda: _installs(other, 2))


def _installs(scene: Scene, version: int) -> bool:
    try:
        return scene.update().running.version == version
    except EdgekitError:
        return False


def test_an_update_by_a_timer_is_handed_on_too(scene: Scene, tmp_path: Path) -> None:
    """The process that seeds leaves updates to another one; it fetches what is to be kept for others nevertheless."""
    with gateway(scene) as (url, _):
        until(lambda: has_documents(scene, url))
        scene.publisher.release(2, variants=2, seed=2)
        scene.update()
        until(lambda: has_documents(scene, url))
        other = Scene(tmp_path / "other")
        other.publisher = scene.publisher
        other.set_up(url)
        until(lambda: _installs(other, 2))


def test_roots_between_the_first_and_the_newest_are_handed_on(scene: Scene, tmp_path: Path) -> None:
    """A node that was given root 1 finds its way when only the neighbour is left, whose channel has root 4 by now."""
    for role in ("timestamp", "root", "timestamp"):
        scene.publisher.repository.renew_key(role)
    scene.publisher.repository.publish()
    scene.publisher.write()
    scene.update()
    with gateway(scene) as (url, _):
        until(lambda: all(has_file(url, f"metadata/{number}.root.json") for number in (1, 2, 3, 4)))
        until(lambda: has_documents(scene, url))
        shutil.move(scene.publisher.folder, tmp_path / "gone")
        other = Scene(tmp_path / "other")
        other.publisher = scene.publisher
        other.set_up(url)
        assert other.update().running.version == 1


@pytest.mark.parametrize("keep", [0, 10**6])
def test_deltas_are_handed_on_with_their_index(scene: Scene, keep: int) -> None:
    """The index always, which is small; what it names as far as the budget goes."""
    patch = b"a delta" * 100
    delta = Delta("ab" * 32, "cd" * 32, "zstd", digest.of_bytes(patch), len(patch), 10**6)
    index = write_index([delta])
    repository = scene.publisher.repository
    repository.release(f"{MODEL}+deltas", index=index, custom={})
    repository.publish()
    scene.publisher.write()
    (scene.publisher.folder / "blobs" / "sha256" / delta.sha256).write_bytes(patch)
    scene.update()
    window = Window()
    made = seeder(scene, window, plan=SeedPlan(keep_bytes=keep, update_every_s=0.0))
    made.gather()
    made.giver.look()
    assert (delta.sha256 in window.blobs) == bool(keep)
    assert window.files[f"targets/vision/{digest.of_bytes(index)}.resnet8+deltas.json"] == index


def test_a_gateway_gives_torrents_of_what_it_has(scene: Scene) -> None:
    """A source `torrent:URL` of a gateway finds the metadata of each file there."""
    blob = scene.publisher.built[1].draft.manifest.file("model.v0.onnx").blob
    with gateway(scene) as (url, made):
        until(lambda: blob.sha256 in made.given and has_file(url, torrent_file(blob.sha256)))
        transport = open_transport(url)
        data = read_all(transport, torrent_file(blob.sha256), limit_bytes=10**6)
        transport.close()
    torrent = read_torrent(data, blob=blob)
    assert blob.addresses is not None
    assert torrent.infohash == blob.addresses.infohash
