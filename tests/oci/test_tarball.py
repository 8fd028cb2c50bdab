"""The tar of a layout: the same bytes whatever the folder, the time and the order, and what GNU tar reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.errors import InputError, StorageError
from edgekit.oci import tarball
from edgekit.oci.tarball import write_tar
from tests.bundle.building import Built


def test_two_tars_are_equal_to_the_byte(valid: Built, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in sorted(valid.path.rglob("*"), reverse=True):
        target = copy / path.relative_to(valid.path)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            target.chmod(0o600)
            os.utime(target, (1, 1))
    write_tar(valid.path, tmp_path / "a.tar")
    write_tar(copy, tmp_path / "b.tar")
    assert digest.of_file(tmp_path / "a.tar") == digest.of_file(tmp_path / "b.tar")
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o644


def test_it_holds_plain_files_only_sorted(valid: Built, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar", "r:") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {member.type for member in members} == {tarfile.REGTYPE}
    assert {(member.uid, member.gid, member.mtime, member.mode) for member in members} == {(0, 0, 0, 0o644)}


def test_gnu_tar_unpacks_the_same_layout(valid: Built, tmp_path: Path) -> None:
    write_tar(valid.path, tmp_path / "a.tar")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.tar", "-C", tmp_path / "out"], check=True)
    names = sorted(path.relative_to(valid.path) for path in valid.path.rglob("*"))
    assert names == sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*"))
    assert all(
        (valid.path / name).is_dir() or (valid.path / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
        for name in names
    )


def test_what_is_no_part_of_a_bundle_is_not_packed(valid: Built, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    shutil.copytree(valid.path, folder)
    (folder / "blobs" / "sha256" / "link").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="link, which is no part"):
        write_tar(folder, tmp_path / "a.tar")
    (folder / "blobs" / "sha256" / "link").unlink()
    (folder / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"notes\.txt, which is no part"):
        write_tar(folder, tmp_path / "a.tar")
    with pytest.raises(InputError, match="is no bundle"):
        write_tar(tmp_path, tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()


def test_blobs_that_a_header_cannot_say(valid: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarball, "LARGEST_MEMBER_BYTES", 1_000_000)
    with pytest.raises(InputError, match="less than 8 GiB"):
        write_tar(valid.path, tmp_path / "a.tar")


def test_nothing_is_left_when_the_disk_is_full(valid: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarball.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_tar(valid.path, tmp_path / "a.tar")
    assert os.listdir(tmp_path) == []
