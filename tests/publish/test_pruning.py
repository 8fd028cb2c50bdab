"""Pruning: what goes, and that nothing goes which somebody may still be led to."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from edgekit.addressing.torrent import torrent_file
from edgekit.channel.client import follow
from edgekit.errors import AbsentError, InputError
from edgekit.publish.pruning import Surplus, find_surplus, remove_surplus
from edgekit.publish.publishing import publish
from edgekit.publish.records import read_records
from edgekit.seal.keys import MemoryKey
from edgekit.transport.file import FileTransport
from tests.delta.files import blob_of
from tests.publish.lab import MODEL, Lab
from tests.publish.related import MODELS, related

KEEP = timedelta(days=30)
STEP = timedelta(days=20)


@pytest.fixture
def place(lab: Lab, tmp_path: Path) -> FileTransport:
    """The lab's channel in a folder, with three releases that are 20 days apart."""
    made = FileTransport(tmp_path / "channel")
    for name, data in lab.place.files.items():
        made.write(name, [data], size_bytes=len(data))
        os.utime(made.folder / name, (lab.now.timestamp(),) * 2)
    for version in (1, 2, 3):
        write(lab, made, version)
        lab.now += STEP
    return made


def write(lab: Lab, place: FileTransport, version: int, *, keys: list[MemoryKey] | None = None) -> None:
    """Publish; the files are as old as the lab's time says."""
    before = set(place.folder.rglob("*"))
    publish(lab.bundle(version), place, lab.settings(keys=keys), now=lab.now)
    for path in set(place.folder.rglob("*")) - before:
        os.utime(path, (lab.now.timestamp(),) * 2)


def find(lab: Lab, place: FileTransport, keep: timedelta = KEEP) -> Surplus:
    return find_surplus(place, read_records(place), lab.now, keep=keep)


def blobs_of(lab: Lab, version: int) -> set[str]:
    return {f"blobs/sha256/{path.name}" for path in (lab.bundle(version) / "blobs" / "sha256").iterdir()}


def test_what_was_in_force_lately_stays(lab: Lab, place: FileTransport) -> None:
    """Version 1 gave way 40 days ago, version 2 20 days ago."""
    surplus = find(lab, place)
    assert set(surplus.files) == (blobs_of(lab, 1) - blobs_of(lab, 2) - blobs_of(lab, 3)) | {
        "metadata/1.snapshot.json",
        "metadata/1.vision.json",
        "metadata/2.snapshot.json",
        "metadata/2.vision.json",
        *(name for name in surplus.files if name.startswith("targets/")),
    }
    assert sum(name.startswith("targets/") for name in surplus.files) == 1
    assert surplus.size_bytes == sum((place.folder / name).stat().st_size for name in surplus.files)
    remove_surplus(place, surplus)
    for version in (2, 3):
        for name in blobs_of(lab, version):
            assert (place.folder / name).exists()
    assert find(lab, place).files == ()
    assert set(find(lab, place, timedelta(days=10)).files) >= blobs_of(lab, 2) - blobs_of(lab, 3)


def test_a_reader_that_is_behind_finds_all_it_needs(lab: Lab, place: FileTransport) -> None:
    timestamp = (place.folder / "metadata" / "timestamp.json").read_bytes()
    write(lab, place, 4)
    lab.now += KEEP - timedelta(days=1)
    remove_surplus(place, find(lab, place))
    (place.folder / "metadata" / "timestamp.json").write_bytes(timestamp)
    root = (place.folder / "metadata" / "1.root.json").read_bytes()
    found = follow(MODEL, [place], lab.folder.parent / "late", root=root, clock=lambda: lab.now - KEEP - STEP)
    assert found.notice.version == 3
    assert all((place.folder / name).exists() for name in blobs_of(lab, 3))


def test_what_was_written_lately_or_is_not_ours_stays(lab: Lab, place: FileTransport, tmp_path: Path) -> None:
    write(lab, place, 4, keys=[])  # waits for signatures
    lab.now += timedelta(days=25)
    for name in ("notes.txt", "metadata/notes.json", "blobs/sha256/README", "targets/vision/lite0.json"):
        (place.folder / name).write_text("mine")
        os.utime(place.folder / name, (0, 0))
    (place.folder / "blobs" / "sha256" / ("0" * 64)).symlink_to(tmp_path)
    left = place.folder / "blobs" / "sha256" / ".0123456789abcdef.part"
    left.write_text("of a writer that was killed")
    os.utime(left, (0, 0))
    surplus = find(lab, place)
    assert not set(surplus.files) & blobs_of(lab, 4)
    assert not any("notes" in name or "README" in name or "0" * 64 in name for name in surplus.files)
    assert "targets/vision/lite0.json" not in surplus.files
    assert "blobs/sha256/.0123456789abcdef.part" in surplus.files
    assert "metadata/1.root.json" not in surplus.files


def test_nothing_goes_where_it_is_not_known_what_is_needed(lab: Lab, place: FileTransport) -> None:
    with pytest.raises(InputError, match="believed for 7 days"):
        find(lab, place, timedelta(days=6))
    records = read_records(place)
    found = records.release(MODEL)
    assert found is not None
    (place.folder / f"targets/vision/{found[0].hashes['sha256']}.lite0.json").unlink()
    with pytest.raises(AbsentError):
        find(lab, place)


def test_proofs_go_with_what_they_are_about(lab: Lab, place: FileTransport) -> None:
    releases = sorted((place.folder / "targets" / "vision").iterdir(), key=lambda path: path.stat().st_mtime)
    proofs = [f"proofs/{path.name[:64]}.tlog-proof" for path in releases]
    for name in (*proofs, "log/checkpoint", "proofs/notes.txt", "torrents/notes.torrent"):
        place.write(name, [b"a proof"], size_bytes=7)
        os.utime(place.folder / name, (0, 0))
    others = {name for name in find(lab, place).files if not name.startswith(("metadata/", "targets/", "blobs/"))}
    assert others == {proofs[0]}


def test_deltas_and_torrents_stay_as_long_as_they_are_of_use(lab: Lab, tmp_path: Path) -> None:
    """Version 2 gave way 20 days ago, and a reader may still be led to it; version 1 is no base of anything then."""
    made = FileTransport(tmp_path / "channel")
    for name, data in lab.place.files.items():
        made.write(name, [data], size_bytes=len(data))
        os.utime(made.folder / name, (lab.now.timestamp(),) * 2)
    deltas = {}
    for version in (1, 2, 3):
        before = set(made.folder.rglob("*"))
        built = related(lab.folder / f"related-{version}", lab.publisher, version, name=MODEL)
        done = publish(built.path, made, lab.settings(), now=lab.now)
        deltas[version] = {each.delta.blob.file_name for each in done.deltas.made}
        for path in set(made.folder.rglob("*")) - before:
            os.utime(path, (lab.now.timestamp(),) * 2)
        lab.now += STEP
    assert all(deltas[version] for version in (2, 3))
    assert not (deltas[2] | deltas[3]) & set(find(lab, made).files)
    lab.now += STEP
    surplus = find(lab, made)
    torrents = {name for name in surplus.files if name.startswith("torrents/")}
    assert torrents == {torrent_file(blob_of(MODELS[version]).sha256) for version in (1, 2)}
    assert deltas[2] <= set(surplus.files)
    assert not deltas[3] & set(surplus.files)
    assert sum(name.endswith("+deltas.json") for name in surplus.files) == 1
    remove_surplus(made, surplus)
    assert find(lab, made).files == ()
    for spoil in (lambda path: path.write_bytes(b"{}"), Path.unlink):
        (index,) = [path for path in made.folder.rglob("*+deltas.json")]
        spoil(index)
        assert deltas[3] <= set(find(lab, made).files), "no reader is led to them, and nothing else is kept from going"
