"""A layout appears whole or not at all, and replaces nothing but another layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.errors import DigestError, InputError, StorageError
from edgekit.oci import layout
from edgekit.oci.layout import LayoutWriter
from edgekit.types.blob import Descriptor


def test_blobs_lie_by_their_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    with LayoutWriter(tmp_path / "out") as writer:
        small = writer.add_bytes(b"{}", "a/b", annotations={"k": "v"})
        large = writer.add_file(tmp_path / "file", "c/d")
        assert not (tmp_path / "out").exists()
        writer.finish(b"index")
    assert (small.sha256, small.size_bytes, small.annotations) == (digest.of_bytes(b"{}"), 2, {"k": "v"})
    assert (large.sha256, large.size_bytes) == (digest.of_file(tmp_path / "file"), 3_000_000)
    blobs = tmp_path / "out" / "blobs" / "sha256"
    assert sorted(os.listdir(blobs)) == sorted([small.sha256, large.sha256])
    assert (blobs / large.sha256).read_bytes() == b"x" * 3_000_000
    assert (tmp_path / "out" / "index.json").read_bytes() == b"index"
    assert (tmp_path / "out" / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert (blobs / small.sha256).stat().st_mode & 0o777 == 0o644
    assert sorted(os.listdir(tmp_path)) == ["file", "out"]


def test_nothing_is_left_when_it_fails(tmp_path: Path) -> None:
    with LayoutWriter(tmp_path / "out") as writer:
        writer.add_bytes(b"{}", "a/b")
    assert os.listdir(tmp_path) == []
    with pytest.raises(InputError, match="cannot read"), LayoutWriter(tmp_path / "out") as writer:
        writer.add_file(tmp_path / "absent", "a/b")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layout.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"), LayoutWriter(tmp_path / "out") as writer:
        writer.add_bytes(b"{}", "a/b")
    assert os.listdir(tmp_path) == []


def test_chunks_from_elsewhere_are_held_against_their_descriptor(tmp_path: Path) -> None:
    named = Descriptor("a/b", digest.of_bytes(b"abcdef"), 6)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"abc"

    with LayoutWriter(tmp_path / "out") as writer:
        writer.add_chunks([b"abc", b"", b"def"], named)
        for chunks, said in (
            ([b"abc"], "3 bytes instead of 6"),
            ([b"abcdeF"], "holds other bytes"),
            ([b"abcdef", b"g"], "more than the 6"),
            (endless(), "more than the 6"),
        ):
            with pytest.raises(DigestError, match=said):
                writer.add_chunks(chunks, named)
        writer.finish(b"")
    assert [path.read_bytes() for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()] == [b"abcdef"]
    assert sorted(os.listdir(tmp_path / "out")) == ["blobs", "index.json", "oci-layout"]


def test_an_older_layout_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        with LayoutWriter(tmp_path / "out") as writer:
            writer.add_bytes(content, "a/b")
            writer.finish(content)
    assert (tmp_path / "out" / "index.json").read_bytes() == b"second"
    assert len(os.listdir(tmp_path / "out" / "blobs" / "sha256")) == 1
    assert os.listdir(tmp_path) == ["out"]

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for name in ("photos", "a.txt", "link"):
        with pytest.raises(InputError):
            LayoutWriter(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "link", "out", "photos"]


def test_a_layout_with_something_of_the_users_in_it_is_not_replaced(tmp_path: Path) -> None:
    with LayoutWriter(tmp_path / "out") as writer:
        writer.finish(b"")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something that is no bundle"):
        LayoutWriter(tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_an_older_layout_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LayoutWriter(tmp_path / "out") as writer:
        writer.finish(b"first")
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if target == tmp_path / "out" and path.name != "before":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with LayoutWriter(tmp_path / "out") as writer, pytest.raises(StorageError, match="No space left"):
        writer.finish(b"second")
    assert (tmp_path / "out" / "index.json").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("place", [".", ".."])
def test_a_layout_is_not_written_over_the_folder_one_is_in(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="names no new folder"):
        LayoutWriter(Path(place))
