"""Files that outlive a power cut: the old one or the new one, in the order that makes it last."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from edgekit.durable import make_folder, replace_file, sync_folder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made durable and renamed, in order."""
    taken: list[str] = []
    sync, rename = os.fsync, os.replace

    def told_sync(descriptor: int) -> None:
        taken.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def told_rename(source: Any, target: Any) -> None:
        taken.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(os, "replace", told_rename)
    return taken


def test_the_content_is_durable_before_the_name_and_the_name_at_the_end(tmp_path: Path, steps: list[str]) -> None:
    replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert steps == ["file", "rename", "folder"]
    assert os.listdir(tmp_path) == ["a"]


def test_where_it_fails_the_old_file_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file(tmp_path / "a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(tmp_path / "a", b"new")
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {"a": b"old"}


def test_what_a_kill_left_behind_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".a.new").write_bytes(b"longer than what comes")
    replace_file(tmp_path / "a", b"new")
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {"a": b"new"}


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / ".a.new").symlink_to("victim")
    with pytest.raises(OSError, match=r"symbolic links|Too many levels"):
        replace_file(tmp_path / "a", b"new")
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_every_folder_that_was_missing_is_durable(tmp_path: Path, steps: list[str]) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert steps == ["folder", "folder"]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")
