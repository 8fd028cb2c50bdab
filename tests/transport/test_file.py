"""Folders as transports."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit.errors import AbsentError, LengthError, StorageError, TransferError
from edgekit.testing.transport_check import check_transport
from edgekit.transport.file import FileTransport
from edgekit.transport.reading import read_all


def test_promises_are_kept(tmp_path: Path) -> None:
    check_transport(lambda: FileTransport(tmp_path / "not" / "there" / "yet"))


def test_links_are_followed_inside_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"of the machine")
    root = tmp_path / "stick"
    root.mkdir()
    (root / "real").write_bytes(b"good")
    (root / "inside").symlink_to("real")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    transport = FileTransport(root)
    assert read_all(transport, "inside", limit_bytes=10) == b"good"
    for name in ("outside", "up/secret"):
        with pytest.raises(TransferError, match="leads out"):
            read_all(transport, name, limit_bytes=100)
    with pytest.raises(TransferError):
        read_all(transport, "loop", limit_bytes=100)
    with pytest.raises(TransferError, match="leads out"):
        transport.write("up/new", [b"x"], size_bytes=1)
    with pytest.raises(TransferError, match="leads out"):
        transport.write("up/folder/new", [b"x"], size_bytes=1)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["secret", "stick"]


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"good")
    (tmp_path / "link").symlink_to("real")
    assert read_all(FileTransport(tmp_path / "link"), "file", limit_bytes=10) == b"good"


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it to read would wait for a writer
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(TransferError, match="no regular file"):
            read_all(FileTransport(tmp_path), name, limit_bytes=10)


def test_absent_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nothing", "no/folder", "file/below"):
        with pytest.raises(AbsentError):
            read_all(FileTransport(tmp_path), name, limit_bytes=10)
    with pytest.raises(AbsentError):
        read_all(FileTransport(tmp_path / "nowhere"), "file", limit_bytes=10)


def test_reading_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(LengthError, match="longer than the 4 bytes"):
        read_all(FileTransport(tmp_path), "file", limit_bytes=4)
    assert read_all(FileTransport(tmp_path), "file", limit_bytes=5) == b"12345"


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    transport.write("file", [b"old"], size_bytes=3)

    def chunks() -> Iterator[bytes]:
        yield b"new"
        assert read_all(transport, "file", limit_bytes=10) == b"old"
        yield b"er"

    transport.write("file", chunks(), size_bytes=5)
    assert read_all(transport, "file", limit_bytes=10) == b"newer"
    assert [place.name for place in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="no space is left"):
        FileTransport(tmp_path).write("file", [b"x"], size_bytes=1)
    assert list(tmp_path.iterdir()) == []
