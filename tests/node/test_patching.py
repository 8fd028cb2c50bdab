"""A node takes a delta where that is less than the file, and the file where anything is wrong with it."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgekit.delta import codecs
from edgekit.delta.codecs import CODECS
from edgekit.delta.index import Delta, write_index
from edgekit.delta.making import describe
from edgekit.errors import MalformedError, SourcesError
from edgekit.node import patching
from edgekit.node.disk import Disk
from edgekit.node.update import Outcome
from edgekit.types.blob import Blob
from tests.delta.files import blob_of
from tests.node.failing_disks import Counting, die
from tests.node.scene import MODEL, Scene, flip
from tests.node.test_power import check_start, dies, restored, steps_of

FILE = "model.v0.onnx"
SIZE_BYTES = 40_000


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A node that runs version 1, and a version 2 whose model differs in eight bytes."""
    made = Scene(tmp_path)
    made.publisher.release(1, size_bytes=SIZE_BYTES)
    made.set_up()
    made.update()
    made.publisher.release(2, size_bytes=SIZE_BYTES)
    made.told.clear()
    return made


def model(scene: Scene, version: int) -> bytes:
    return scene.publisher.built[version].file(FILE).read_bytes()


def make(scene: Scene, *, codec: str = "bsdiff", old: int = 1, new: int = 2) -> tuple[Delta, bytes]:
    before, after = model(scene, old), model(scene, new)
    data = CODECS[codec].make(before, after)
    assert data
    return describe(data, codec=codec, base=before, target=blob_of(after)), data


def offer(scene: Scene, *deltas: tuple[Delta, bytes], index: bytes | None = None) -> None:
    """Let the channel offer deltas beside its release."""
    publisher = scene.publisher
    for delta, data in deltas:
        (publisher.folder / delta.blob.file_name).write_bytes(data)
    index = write_index(delta for delta, _ in deltas) if index is None else index
    publisher.repository.release(f"{MODEL}+deltas", index=index, custom={})
    publisher.repository.publish()
    publisher.write()


def lose(scene: Scene, version: int) -> None:
    """The channel loses the model's file itself."""
    scene.publisher.remove_blob(blob_of(model(scene, version)).sha256)


def told(scene: Scene, word: str) -> list[str]:
    return [line for line in scene.told if word in line]


@pytest.mark.parametrize("codec", ["zstd", "bsdiff"])
def test_a_delta_is_enough(scene: Scene, codec: str) -> None:
    delta, data = make(scene, codec=codec)
    offer(scene, (delta, data))
    lose(scene, 2)
    updated = scene.update()
    assert (updated.outcome, scene.version()) == (Outcome.INSTALLED, 2)
    assert updated.fetched_bytes == delta.size_bytes < 400
    assert told(scene, "as a change") == [f"fetching {FILE} as a change, {delta.size_bytes} B instead of 40.0 kB"]
    assert not scene.folder.staging.exists()
    assert sorted(os.listdir(scene.serving().folder)) == ["files", "model.sig", "slot.json"]


def test_without_one_the_file_is_fetched(scene: Scene) -> None:
    assert scene.update().fetched_bytes == SIZE_BYTES
    assert told(scene, "change") == []


def test_the_smallest_one_is_taken(scene: Scene) -> None:
    both = [make(scene, codec=codec) for codec in ("zstd", "bsdiff")]
    offer(scene, *both)
    assert scene.update().fetched_bytes == min(delta.size_bytes for delta, _ in both)


def test_the_release_in_the_other_slot_is_a_base_too(scene: Scene) -> None:
    scene.update()
    scene.publisher.release(3, size_bytes=SIZE_BYTES)
    delta, data = make(scene, old=1, new=3)
    offer(scene, (delta, data))
    lose(scene, 3)
    assert scene.update().fetched_bytes == delta.size_bytes
    assert scene.version() == 3


Spoil = Callable[[Scene, Delta, Path], None]


def absent(scene: Scene, delta: Delta, blob: Path) -> None:
    blob.unlink()


def altered(scene: Scene, delta: Delta, blob: Path) -> None:
    flip(blob)


def cut(scene: Scene, delta: Delta, blob: Path) -> None:
    os.truncate(blob, delta.size_bytes - 1)


def base_decayed(scene: Scene, delta: Delta, blob: Path) -> None:
    flip(scene.path / "current" / "files" / FILE)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(absent, "no file"), (altered, "sha256"), (cut, "no source"), (base_decayed, "the base")],
)
def test_anything_wrong_with_it_is_told_and_the_file_fetched(scene: Scene, spoil: Spoil, reason: str) -> None:
    delta, data = make(scene)
    offer(scene, (delta, data))
    spoil(scene, delta, scene.publisher.folder / delta.blob.file_name)
    assert scene.update().running.version == scene.version() == 2
    (line,) = told(scene, "is fetched whole")
    assert reason in line
    assert told(scene, f"fetching {FILE}, ")


@pytest.mark.parametrize("index", [b"", b"{}", b'{"deltas":[],"schema":"edgekit.deltas/9"}', b"x" * 300_000])
def test_an_index_that_cannot_be_read_is_in_nobodys_way(scene: Scene, index: bytes) -> None:
    offer(scene, index=index)
    assert scene.update().running.version == scene.version() == 2
    assert told(scene, "as a change") == []


def test_an_index_that_is_not_there_is_told(scene: Scene) -> None:
    offer(scene, make(scene))
    next((scene.publisher.folder / "targets" / "vision").glob("*+deltas.json")).unlink()
    assert scene.update().running.version == 2
    assert told(scene, "deltas cannot be used")


def test_a_new_node_asks_for_no_index(scene: Scene, tmp_path: Path) -> None:
    offer(scene, index=b"garbage")
    scene.path = tmp_path / "other"
    scene.set_up()
    assert scene.update().running.version == 2
    assert told(scene, "deltas") == []


def test_a_codec_without_its_package_is_passed_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(scene, make(scene, codec="zstd"))
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    assert scene.update().fetched_bytes == SIZE_BYTES
    assert told(scene, "change") == []


def test_more_memory_than_there_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(scene, make(scene))
    monkeypatch.setattr(patching, "memory_bytes", lambda: 100_000_000)
    assert scene.update().fetched_bytes == SIZE_BYTES


# Deltas and files of more than one piece


@pytest.fixture
def large(tmp_path: Path) -> Scene:
    """The same with a model of 4 MB, half of which is new: its delta has two pieces."""
    scene = Scene(tmp_path)
    scene.publisher.release(1, size_bytes=4_000_000)
    scene.set_up()
    scene.update()

    def half_new(manifest_version: int) -> None:
        content = scene.publisher.built[1].draft
        source = content.sources[FILE]
        source.write_bytes(
            manifest_version.to_bytes(8, "big") + random.Random(9).randbytes(1_999_992) + model(scene, 1)[2_000_000:]
        )
        from tests.bundle.building import Draft, describe_file

        files = tuple(
            describe_file(content.sources[file.path], file.path, file.role, file.media_type)
            for file in content.manifest.files
        )
        manifest = dataclasses.replace(
            content.manifest, files=files, version=manifest_version, semver=f"{manifest_version}.0.0"
        )
        scene.publisher.put(Draft(manifest, content.sources))

    half_new(2)
    scene.told.clear()
    return scene


def test_a_delta_that_was_cut_off_is_gone_on_with(large: Scene) -> None:
    delta, data = make(large, codec="zstd")
    assert delta.pieces is not None
    offer(large, (delta, data[: 2**20 + 1000]))
    lose(large, 2)
    with pytest.raises(SourcesError):
        large.update()
    offer(large, (delta, data))
    assert large.update().fetched_bytes == delta.size_bytes - 2**20
    assert large.version() == 2


def test_a_delta_that_is_there_is_not_fetched_again(large: Scene) -> None:
    """The node was killed while it applied it."""
    delta, data = make(large, codec="zstd")
    offer(large, (delta, data))
    (large.publisher.folder / delta.blob.file_name).unlink()
    lose(large, 2)
    with pytest.raises(SourcesError):
        large.update()
    target = blob_of(model(large, 2)).sha256
    parts = large.folder.staging / "parts"
    (parts / f"{target}.{delta.sha256}").write_bytes(data)
    (parts / f"{target}.patched").write_bytes(b"half of it")
    assert large.update().fetched_bytes == 0
    assert large.version() == 2


def test_a_file_that_is_nearly_there_is_not_begun_anew(large: Scene) -> None:
    delta, data = make(large, codec="zstd")
    offer(large, (delta, data))
    blob = large.publisher.folder / blob_of(model(large, 2)).file_name
    whole = blob.read_bytes()
    os.truncate(blob, 3 * 2**20)
    (large.publisher.folder / delta.blob.file_name).unlink()
    with pytest.raises(SourcesError):
        large.update()
    blob.write_bytes(whole)
    offer(large, (delta, data))
    large.told.clear()
    assert large.update().fetched_bytes == 4_000_000 - 3 * 2**20
    assert told(large, "change") == []


@pytest.mark.parametrize("free", [0, 2**40], ids=["no room", "room"])
def test_what_came_of_a_delta_takes_no_space_that_the_file_needs(
    large: Scene, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """A mirror that stops in the middle of it would else keep a small disk from ever having the file."""
    delta, data = make(large, codec="zstd")
    offer(large, (delta, data[: 2**20 + 1000]))
    lose(large, 2)
    monkeypatch.setattr(patching.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    with pytest.raises(SourcesError):
        large.update()
    left = [path.name for path in (large.folder.staging / "parts").iterdir() if delta.sha256 in path.name]
    assert bool(left) == bool(free)


def test_deltas_that_fail_are_not_tried_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a process, and a minute or more where it wants to."""
    tried: list[str] = []

    def fail(delta: Delta, **paths: object) -> None:
        tried.append(delta.target)
        raise MalformedError("it makes something else")

    monkeypatch.setattr(patching, "apply_delta", fail)
    wanted = [Blob(f"{number:064x}", 10_000) for number in range(20)]
    deltas = [Delta("ab" * 32, blob.sha256, "bsdiff", "cd" * 32, 100, 10**6) for blob in wanted]
    slot = SimpleNamespace(files=tmp_path, record=SimpleNamespace(deployed=SimpleNamespace(files={"x": "ab" * 32})))
    lines: list[str] = []
    patcher = patching.Patcher(deltas, tmp_path, Disk(), lambda blob, path: None, lines.append)
    assert not any(patcher.patched("x", blob, [slot]) for blob in wanted)  # type: ignore[list-item]
    assert len(tried) == patching.MOST_FAILURES


def test_killed_at_every_step(scene: Scene) -> None:
    """As in test_power.py, with a delta on the way."""
    offer(scene, make(scene, codec="zstd"))
    lose(scene, 2)
    with restored(scene) as restore:
        steps = steps_of(scene)
        assert [step for step in steps if ".patched" in step]
        for number, step in enumerate(steps, start=1):
            restore()
            scene.disk = Counting(number, die)
            assert dies(scene.update), f"{number}: {step}"
            check_start(scene, 1, f"killed at {number}: {step}")
        shutil.rmtree(scene.path.with_name("saved"))
