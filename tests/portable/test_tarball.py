"""tar.gz: the same files give the same bytes, and a file that is cut off never appears."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from edgekit.portable import tarball
from edgekit.portable.tarball import write_tarball


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "one", names=("b", "a"))


def plant(parent: Path, *, names: tuple[str, ...]) -> Path:
    """A small tree; its files are made in the order of the names."""
    folder = parent / "runtime"
    (folder / "deep" / "x").mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"contents of {name}")
    (folder / "deep" / "x" / "start").write_text("#!/bin/sh\n")
    (folder / "deep" / "x" / "start").chmod(0o755)
    (folder / "link").symlink_to("deep/x")
    return folder


def test_bytes_depend_on_nothing_but_the_files(tree, tmp_path):
    other = plant(tmp_path / "two", names=("a", "b"))
    os.utime(other / "a", (1e9, 1e9))
    (other / "a").chmod(0o600)
    (other / "deep").chmod(0o700)
    for folder, name in ((tree, "first"), (other, "second")):
        write_tarball(folder, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_everything_is_in_it(tree, tmp_path):
    write_tarball(tree, tmp_path / "packed")
    with tarfile.open(tmp_path / "packed", "r:gz") as archive:
        members = {member.name: member for member in archive}
        archive.extractall(tmp_path / "back", filter="data")
    assert list(members) == sorted(members)
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members.values()} == {(0, 0, 0, "")}
    assert (members["runtime/a"].mode, members["runtime/deep/x/start"].mode) == (0o644, 0o755)
    assert (tmp_path / "back/runtime/a").read_text() == "contents of a"
    assert (tmp_path / "back/runtime/link").readlink() == Path("deep/x")


def test_a_long_name_is_kept(tree, tmp_path):
    deep = tree / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / ("f" * 120)).write_text("far")
    write_tarball(tree, tmp_path / "packed")
    with tarfile.open(tmp_path / "packed", "r:gz") as archive:
        assert (deep / ("f" * 120)).relative_to(tree.parent).as_posix() in archive.getnames()


def test_a_file_that_cannot_be_finished_does_not_appear(tree, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "packed").write_text("earlier")

    def fail(archive: object, path: Path, name: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarball, "_add", fail)
    with pytest.raises(OSError, match="No space"):
        write_tarball(tree, tmp_path / "out" / "packed")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["earlier"]
