"""What lies on the disk while a blob is on its way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekit.errors import DigestError, StorageError
from edgekit.transport.part_file import PartFile
from edgekit.transport.pieces import pieces_of
from tests.transport.blobs import MIB, noise

MADE = noise(3 * MIB + 7)
PIECES = pieces_of(MADE.blob)


def test_whole_at_once(tmp_path: Path) -> None:
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        assert part.find(PIECES) == set()
        part.write(0, MADE.data)
        part.finish(MADE.blob.sha256)
    assert (tmp_path / "x").read_bytes() == MADE.data
    assert [place.name for place in tmp_path.iterdir()] == ["x"]


def test_what_is_right_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        part.write(MIB, MADE.data[MIB : 2 * MIB])
        part.write(2 * MIB, MADE.data[2 * MIB : 3 * MIB - 1])
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        assert part.find(PIECES) == {1}


@pytest.mark.parametrize(("left", "kept"), [(0, set()), (1, set()), (MIB, {0}), (10 * MIB, {0, 1, 2, 3})])
def test_a_part_of_another_length_becomes_as_long_as_the_blob(tmp_path: Path, left: int, kept: set[int]) -> None:
    (tmp_path / "x.part").write_bytes(MADE.data[:left].ljust(left, b"-"))
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        assert (tmp_path / "x.part").stat().st_size == MADE.blob.size_bytes
        assert part.find(PIECES) == kept


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"of somebody else")
    (tmp_path / "x.part").symlink_to("other")
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        part.write(0, MADE.data)
        part.finish(MADE.blob.sha256)
    assert (tmp_path / "other").read_bytes() == b"of somebody else"
    assert not (tmp_path / "x").is_symlink()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with PartFile(tmp_path / "x", 10), pytest.raises(StorageError, match="another process"):
        PartFile(tmp_path / "x", 10)


def test_pieces_that_contradict_the_whole(tmp_path: Path) -> None:
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        part.write(0, MADE.data)
        with pytest.raises(DigestError, match="contradicts itself"):
            part.finish("00" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reserve(file: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    with pytest.raises(StorageError, match="No space left") as caught:
        PartFile(tmp_path / "x", 10 * MIB)
    assert "are needed there" in caught.value.hint
    assert (tmp_path / "x.part").stat().st_size == 0


def test_a_file_system_that_cannot_reserve_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reserve(file: int, start: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    with PartFile(tmp_path / "x", MADE.blob.size_bytes) as part:
        part.write(0, MADE.data)
        part.finish(MADE.blob.sha256)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        PartFile(tmp_path / "no" / "x", 10)
