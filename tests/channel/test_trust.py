"""TrustFolder: what is kept, how it is written, and what a damaged file costs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgekit import digest
from edgekit.channel.trust import LARGEST_FILE_BYTES, TrustFolder
from edgekit.errors import ClockError, StorageError

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_metadata_is_written_in_order_and_only_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    replace = os.replace

    def watch(source: Path, target: Path) -> None:
        written.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    trust = TrustFolder(tmp_path / "trust")
    files = {name: name.encode() for name in ("vision.json", "targets.json", "timestamp.json", "root.json")}
    trust.write_metadata(files)
    assert written == ["root.json", "timestamp.json", "targets.json", "vision.json"]
    assert trust.read_metadata() == files
    trust.write_metadata(files | {"targets.json": b"new"})
    assert written[4:] == ["targets.json"]


def test_every_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda source, target: (steps.append("rename"), replace(source, target))[1])
    TrustFolder(tmp_path).write_index("ab", b"x")
    assert steps == ["fsync", "rename", "fsync"]


def test_what_is_no_metadata_is_left_alone(tmp_path: Path) -> None:
    trust = TrustFolder(tmp_path)
    trust.write_metadata({"root.json": b"1", "../x.json": b"2", "A.json": b"3"})
    folder = tmp_path / "metadata"
    (folder / "large.json").write_bytes(bytes(LARGEST_FILE_BYTES + 1))
    (folder / "link.json").symlink_to(folder / "root.json")
    (folder / "folder.json").mkdir()
    assert trust.read_metadata() == {"root.json": b"1"}
    assert not (tmp_path / "x.json").exists()


def test_an_index_is_held_against_its_digest(tmp_path: Path) -> None:
    trust, data = TrustFolder(tmp_path), b"an index"
    name = digest.of_bytes(data)
    assert trust.read_index(name) is None
    trust.write_index(name, data)
    assert trust.read_index(name) == data
    (tmp_path / "index" / f"{name}.json").write_bytes(b"another")
    assert trust.read_index(name) is None
    trust.write_index("cd", b"x")
    trust.forget_indexes(keep="cd")
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["cd.json"]


def test_time_goes_on(tmp_path: Path) -> None:
    trust = TrustFolder(tmp_path)
    trust.check_clock(NOW)
    trust.note_time(NOW)
    trust.note_time(NOW - timedelta(days=1))  # never back
    trust.check_clock(NOW - timedelta(minutes=5))
    with pytest.raises(ClockError):
        trust.check_clock(NOW - timedelta(minutes=6))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"time":1}', b'{"time":"2026"}', b'{"time":"x"}', b"\xff"])
def test_a_damaged_note_of_the_time_is_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(data)
    TrustFolder(tmp_path).check_clock(NOW - timedelta(days=10_000))


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="trust folder"):
        TrustFolder(tmp_path / "file").write_index("ab", b"x")


def test_what_a_kill_left_behind_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / ".ab.json.new").write_bytes(b"half")
    TrustFolder(tmp_path).write_index("ab", b"whole")
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["ab.json"]
