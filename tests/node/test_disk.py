from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgekit.errors import StorageError
from edgekit.node.disk import Disk, clear, make_folders, point, save
from tests.node.failing_disks import Counting, be_full


def test_save_syncs_the_content_before_the_name_and_the_name_last(tmp_path: Path) -> None:
    disk = Counting()
    save(disk, tmp_path / "x", b"1")
    assert disk.steps == ["write x.tmp", "sync x.tmp", "rename x", f"sync {tmp_path.name}"]
    assert (tmp_path / "x").read_bytes() == b"1"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_save_leaves_what_was_there(tmp_path: Path, at: int) -> None:
    save(Disk(), tmp_path / "x", b"old")
    with pytest.raises(StorageError, match="No space left") as caught:
        save(Counting(at, be_full), tmp_path / "x", b"new")
    assert "free some space" in caught.value.hint
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"p")
    (tmp_path / "x.tmp").symlink_to("precious")
    with pytest.raises(StorageError):
        save(Disk(), tmp_path / "x", b"new")
    assert (tmp_path / "precious").read_bytes() == b"p"


def test_point_and_point_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "current.tmp").symlink_to("left/over")
    point(Disk(), tmp_path / "current", "slots/a")
    point(Disk(), tmp_path / "current", "slots/b")
    assert os.readlink(tmp_path / "current") == "slots/b"
    assert os.listdir(tmp_path) == ["current"]


def test_make_folders(tmp_path: Path) -> None:
    make_folders(Disk(), tmp_path / "a" / "b", below=tmp_path)
    make_folders(Disk(), tmp_path / "a" / "b", below=tmp_path)
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError):
        make_folders(Disk(), tmp_path / "f" / "b", below=tmp_path)


@pytest.mark.parametrize("link", ["a", "a/b"])
def test_a_link_is_no_folder(tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    (tmp_path / "node" / link).parent.mkdir(parents=True)
    (tmp_path / "node" / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link"):
        make_folders(Disk(), tmp_path / "node" / "a" / "b", below=tmp_path / "node")


def test_clear_removes_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x").write_text("p")
    folder = tmp_path / "slot"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "f").write_text("")
    (folder / "away").symlink_to(tmp_path / "precious")
    (folder / "slot.json").write_text("")
    disk = Counting()
    clear(disk, folder)
    assert disk.steps[-1] == "remove slot"
    assert os.listdir(tmp_path) == ["precious"]
    assert (tmp_path / "precious" / "x").read_text() == "p"
    clear(disk, folder)


def test_what_the_system_refuses_says_why(tmp_path: Path) -> None:
    def refuse() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.raises(StorageError, match=r"cannot write .*Read-only") as caught:
        save(Counting(1, refuse), tmp_path / "x", b"")
    assert "right to write" in caught.value.hint
