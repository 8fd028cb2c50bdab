"""What seeding costs a node at most: disk, time and work, whatever its channel and its mirrors do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import DigestError, SourcesError, StorageError
from edgekit.node import gathering, keeping
from edgekit.node.disk import Disk
from edgekit.node.keeping import Kept
from edgekit.node.seeding import Seeder, SeedPlan
from edgekit.node.settings import read_settings, write_settings
from edgekit.transport.fetch import Sources
from edgekit.transport.file import FileTransport
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob
from tests.node.neighbours import QUIET, Window, running, seeder, until
from tests.node.scene import Scene

GENEROUS = SeedPlan(keep_bytes=10**7, update_every_s=0.0)
OTHER = "model.v3.onnx"
"""Of another machine."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publisher.release(1, variants=2)
    scene.set_up()
    scene.update()
    return scene


def other(scene: Scene, version: int) -> str:
    return scene.publisher.built[version].draft.manifest.file(OTHER).sha256


def allocated(folder: Path) -> int:
    """Bytes of disk, which a file may take without having them."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def test_files_that_nobody_has_take_no_more_than_the_budget(scene: Scene) -> None:
    """The space of each is reserved before it is asked for; release after release."""
    budget = 3_000_000
    for version in range(2, 6):
        scene.publisher.release(version, variants=2, size_bytes=2_900_000, seed=version)
        scene.update()
        scene.publisher.remove_blob(other(scene, version))
        made = seeder(scene, Window(), plan=SeedPlan(keep_bytes=budget, update_every_s=0.0))
        made.gather()
        made.giver.look()
    assert any("no source gave" in line for line in scene.told)
    assert allocated(scene.path / "share" / "parts") <= budget


def test_one_part_at_a_time(scene: Scene, tmp_path: Path) -> None:
    """A release may name hundreds of files that nobody has."""
    share = seeder(scene, Window()).share
    nobody = Sources([FileTransport(tmp_path)])
    for number in range(3):
        blob = Blob(f"{number:064x}", 1_000_000)
        with pytest.raises(SourcesError):
            share.fetch(Kept(blob, "ab" * 32, 1, "", False), nobody)
        assert [path.name for path in (share.path / "parts").iterdir()] == [f"{blob.sha256}.part"]


@pytest.mark.parametrize("name", ["share", "share/blobs", "share/parts"])
def test_nothing_is_removed_from_a_folder_that_a_link_leads_to(scene: Scene, tmp_path: Path, name: str) -> None:
    """Whatever is in `share/` and is not wanted goes; photos of somebody on a larger disk do not."""
    photos = tmp_path / "photos"
    for folder in (photos, photos / "blobs", photos / "parts"):
        folder.mkdir()
        (folder / "one.jpg").write_bytes(b"one")
    (scene.path / name).parent.mkdir(exist_ok=True)
    (scene.path / name).symlink_to(photos)
    with pytest.raises(StorageError, match="is a link"):
        seeder(scene, Window())
    assert len([path for path in photos.rglob("*") if path.is_file()]) == 3


def test_a_smaller_budget_counts_at_once(scene: Scene) -> None:
    made = seeder(scene, Window(), plan=GENEROUS)
    made.gather()
    assert made.share.files_bytes() > 0
    less = seeder(scene, window := Window(), plan=QUIET)
    less.gather()
    less.giver.look()
    assert less.share.files_bytes() == 0
    assert other(scene, 1) not in window.blobs


def test_no_more_files_than_the_ledger_has_room_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_KEPT", 2)
    made = seeder(scene, Window(), plan=GENEROUS)
    for version in (2, 3, 4):
        scene.publisher.release(version, variants=2, seed=version)
        scene.update()
        made.gather()
    assert other(scene, 4) in made.share.kept
    assert sum(not item.is_document for item in made.share.kept.values()) == 2


def test_documents_of_releases_that_cannot_be_read_do_not_pile_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody with the family's keys signs release after release whose last document is damaged."""

    def refuse(*arguments: object) -> None:
        raise DigestError("the provenance is damaged")

    monkeypatch.setattr(gathering, "read_provenance", refuse)
    counts = []
    for version in (2, 3, 4):
        scene.publisher.release(version, variants=2, seed=version)
        scene.update()
        made = seeder(scene, Window())
        made.gather()
        counts.append(len(made.share.kept))
    assert any("the provenance is damaged" in line for line in scene.told)
    assert len(set(counts)) == 1, counts


def test_what_is_kept_of_a_revoked_release_is_not_given_out(scene: Scene) -> None:
    window = Window()
    made = seeder(scene, window, plan=GENEROUS)
    made.gather()
    made.giver.look()
    assert other(scene, 1) in window.blobs
    scene.publisher.release(2, variants=2, oldest=2, seed=2)
    scene.update()
    made.giver.look()
    assert other(scene, 1) not in window.blobs
    assert other(scene, 1) not in made.share.kept
    made.gather()
    made.giver.look()
    assert other(scene, 2) in window.blobs


def test_it_is_withdrawn_also_where_nothing_can_be_written(scene: Scene) -> None:
    """A full disk, and a kept file that has decayed beside a slot whose release was revoked."""
    window = Window()
    made = seeder(scene, window, plan=GENEROUS)
    made.gather()
    made.giver.look()
    before = set(window.blobs)
    scene.publisher.release(2, variants=2, oldest=2, seed=2)
    scene.update()
    window.blobs[other(scene, 1)].write_bytes(b"decayed")

    class Full(Disk):
        def before(self, step: str, path: Path) -> None:
            raise OSError(28, "No space left on device")

    made.share._disk = Full()
    with pytest.raises(StorageError):
        made.giver.look()
    assert not set(window.blobs) & before


def links(scene: Scene, inodes: set[int]) -> list[str]:
    return [path.name for path in (scene.path / "share" / "blobs").iterdir() if path.stat().st_ino in inodes]


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_once_it_has_ended_it_holds_no_file_of_a_slot(scene: Scene) -> None:
    with running(Seeder(scene.path, scene.world, [Window()], QUIET)) as made:
        until(lambda: made.given)
        assert links(scene, inodes(scene.folder.slots))
    assert not links(scene, inodes(scene.folder.slots))


def test_a_slot_that_goes_takes_its_space_with_it(scene: Scene) -> None:
    """The process that seeded was killed long ago, and its names on the slot's files are still there."""
    seeder(scene, Window()).giver.look()
    first = inodes(scene.folder.slots)
    scene.publisher.release(2, seed=2)
    scene.update()
    assert links(scene, first), "version 1 lies in its slot still"
    scene.publisher.release(3, seed=3)
    scene.update()
    assert not links(scene, first)


def test_a_spare_slot_that_is_given_up_frees_its_space(scene: Scene) -> None:
    seeder(scene, Window()).giver.look()
    first = inodes(scene.folder.slots / "a")
    scene.publisher.release(2, seed=2)
    scene.update()
    third = scene.publisher.release(3, seed=3)
    scene.publisher.remove_blob(third.draft.manifest.file("model.v0.onnx").sha256)
    scene.machine = replace(scene.machine, disk_bytes=1000)
    with pytest.raises(Exception, match="no source gave"):
        scene.update()
    assert any("slot a is given up" in line for line in scene.told)
    assert not links(scene, first)


def test_an_address_that_was_signed_wrongly_is_no_endless_work(scene: Scene) -> None:
    """Nobody can see it in a manifest; an outlet finds out by reading the whole file."""

    class Particular(Window):
        reads = 0

        def offer(self, blob: Blob, path: Path) -> None:
            if blob.addresses is not None:
                self.reads += 1
                raise DigestError("its infohash is another")
            super().offer(blob, path)

    window = Particular()
    made = seeder(scene, window)
    made.giver.look()
    reads = window.reads
    assert reads > 0
    for _ in range(3):
        made.giver._retry_at = 0.0
        made.giver.look()
    assert window.reads == reads
    made.giver._checked_at = float("-inf")
    made.giver.look()
    assert window.reads == 2 * reads, "after some hours it is tried again"


class Dripping(FileTransport):
    """Gives everything but one blob, of which it goes on giving some bytes for ever."""

    def __init__(self, folder: Path, blob: str) -> None:
        super().__init__(folder)
        self._blob = blob
        self.closed = threading.Event()

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if not name.endswith(self._blob):
            with super().read(name, start=start, stop=stop) as chunks:
                yield chunks
            return
        yield self._drops()

    def _drops(self) -> Iterator[bytes]:
        while not self.closed.wait(0.05):
            yield b"x"

    def close(self) -> None:
        self.closed.set()


def test_a_slow_mirror_of_what_is_kept_for_others_delays_no_update(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else whoever is such a mirror could keep nodes from learning what was revoked."""
    blob, folder = other(scene, 1), scene.publisher.folder

    @contextmanager
    def opened(urls: object) -> Iterator[tuple[Transport, ...]]:
        place = Dripping(folder, blob)
        yield (place,)
        place.close()

    monkeypatch.setattr("edgekit.node.seeding.opened", opened)
    plan = SeedPlan(keep_bytes=10**7, update_every_s=0.3)
    began = time.monotonic()
    with running(Seeder(scene.path, scene.world, [Window()], plan)):
        until(lambda: any("keeping" in line for line in scene.told))
        scene.publisher.release(2, oldest=2, seed=2)
        until(lambda: scene.version() == 2)
        ended = time.monotonic()
    assert time.monotonic() - ended < 5.0, "it ends at once, in the middle of a transfer"
    assert ended - began < 20.0


def test_a_mirror_that_lies_about_a_small_file_does_not_keep_others_from_giving_it(
    scene: Scene, tmp_path: Path
) -> None:
    repository = scene.publisher.repository
    for role in ("root", "timestamp", "root"):
        repository.renew_key(role)
    repository.publish()
    scene.publisher.write()
    lying = tmp_path / "lying"
    (lying / "metadata").mkdir(parents=True)
    for path in (scene.publisher.folder / "metadata").glob("*.root.json"):
        (lying / "metadata" / path.name).write_bytes((scene.publisher.folder / "metadata" / "1.root.json").read_bytes())
    path = scene.folder.settings
    settings = read_settings(path)
    write_settings(Disk(), path, replace(settings, channels=(str(lying), *settings.channels)))
    scene.update()
    made = seeder(scene, window := Window())
    made.gather()
    made.giver.look()
    assert {"metadata/1.root.json", "metadata/2.root.json"} <= window.files.keys()


def test_the_ledger_is_written_by_one_at_a_time(scene: Scene) -> None:
    """Two threads use it; with one writing what the other just read, something kept would be lost from it."""
    made = seeder(scene, Window(), plan=GENEROUS)
    made.gather()
    share = made.share
    inside = threading.Event()

    class Slow(Disk):
        def before(self, step: str, path: Path) -> None:
            if step == "write":
                inside.set()
                time.sleep(0.2)

    share._disk = Slow()
    names = sorted(share.kept)
    thread = threading.Thread(target=share.renew, args=(names,), kwargs={"release": "ab" * 32, "version": 9})
    thread.start()
    assert inside.wait(5.0)
    share.drop(names[0])
    thread.join()
    assert names[0] not in share.kept
    assert {item.version for item in share.kept.values()} == {9}
