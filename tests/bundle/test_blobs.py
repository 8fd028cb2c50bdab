"""Blobs of a folder: no link is followed, no pipe waited for, no size believed."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.bundle import blobs
from edgekit.bundle.blobs import FolderBlobs
from edgekit.errors import DigestError, InputError, MalformedError
from edgekit.types.blob import Blob, Descriptor
from tests.bundle.building import Built

DATA = b"some bytes"
GOOD = Descriptor("a/b", digest.of_bytes(DATA), len(DATA))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "blobs" / "sha256" / GOOD.sha256).write_bytes(DATA)
    return tmp_path


def place(folder: Path) -> Path:
    return folder / "blobs" / "sha256" / GOOD.sha256


def test_reading(folder: Path) -> None:
    source = FolderBlobs(folder)
    assert source.read(GOOD, limit_bytes=len(DATA)) == DATA
    with source.open(GOOD.blob) as stream:
        assert stream.read() == DATA


def test_a_blob_larger_than_may_be_read(folder: Path) -> None:
    with pytest.raises(MalformedError, match="at most 9 are allowed"):
        FolderBlobs(folder).read(GOOD, limit_bytes=9)


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"!", b"SOME BYTES"])
def test_other_bytes(folder: Path, data: bytes) -> None:
    place(folder).write_bytes(data)
    with pytest.raises(DigestError):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_an_absent_blob(folder: Path) -> None:
    with pytest.raises(MalformedError, match="lacks blob"):
        FolderBlobs(folder).open(Blob("00" * 32, 5))


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    place(folder).rename(tmp_path / "outside")
    place(folder).symlink_to(tmp_path / "outside")
    with pytest.raises(MalformedError, match="symbolic link"):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_nor_a_linked_folder(folder: Path) -> None:
    shutil.move(folder / "blobs" / "sha256", folder / "elsewhere")
    (folder / "blobs" / "sha256").symlink_to(folder / "elsewhere")
    with pytest.raises(MalformedError, match="symbolic link"):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_a_pipe_and_a_folder_are_no_blobs(folder: Path) -> None:
    place(folder).unlink()
    os.mkfifo(place(folder))
    with pytest.raises(MalformedError, match="no regular file"):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)
    place(folder).unlink()
    place(folder).mkdir()
    with pytest.raises(MalformedError, match="no regular file"):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_a_socket_is_no_blob(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(folder).unlink()
    monkeypatch.chdir(place(folder).parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(GOOD.sha256)
        with pytest.raises(MalformedError, match="no regular file"):
            FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_a_disk_that_fails_is_no_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, flags: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(blobs.os, "open", broken)
    with pytest.raises(InputError, match=r"cannot read .*: Input/output error"):
        FolderBlobs(folder).read(GOOD, limit_bytes=100)


def test_the_bundles_own_folder_may_be_a_link(valid: Built, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(valid.path)
    assert FolderBlobs(tmp_path / "link").read(valid.image_index, limit_bytes=10**6)
