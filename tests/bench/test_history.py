"""The store keeps valid medians once, in order, shared by processes, and refuses files that are none of its own."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgekit.bench import history
from edgekit.bench.history import APPLICATION_ID, VERSION, History
from edgekit.errors import InputError, StorageError
from edgekit.types.bench import (
    BenchArtifact,
    BenchReport,
    BenchSettings,
    DeviceReport,
    Environment,
    Kind,
    Measurement,
    Summary,
)
from edgekit.types.interval import Interval

NET, OTHER = "net.int8.onnx", "net.int8.tflite"
HERE, ARM = "local:", "qemu-system:cortex-a76"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def measurement(value: float, *, artifact: str = NET, device: str = HERE, threads: int = 1) -> Measurement:
    kind = Kind.WALL_NS if device == HERE else Kind.INSTRUCTIONS
    summary = Summary(Interval(value, value * 0.99, value * 1.01), value, None, None, 50, 5, 0.01, 1.0, 1.0, 1.0, 1)
    return Measurement(artifact, device, kind, "cpu", threads, 1, summary=summary)


def report(*measurements: Measurement, day: float = 0) -> BenchReport:
    artifacts = tuple(
        BenchArtifact(name, name, "0" * 64, 1000, "onnxruntime", 0.85, "top-1", "report.json") for name in (NET, OTHER)
    )
    before = Environment(runtimes={"onnxruntime": "1.32.0", "python": "3.11.2"})
    devices = (DeviceReport(HERE, HERE, before), DeviceReport(ARM, ARM))
    started = (START + timedelta(days=day)).isoformat(timespec="seconds")
    return BenchReport("1.0", "", started, BenchSettings(), artifacts, devices, measurements)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def test_medians_come_back_oldest_first(file: Path) -> None:
    with History(file) as store:
        for day, value in ((2, 12.0), (0, 10.0), (1, 11.0)):
            assert store.add(report(measurement(value), day=day), f"commit{day}") == 1
    with History(file) as store:
        points = store.series(NET, HERE, "cpu, 1 thread", Kind.WALL_NS)
        assert [(point.value, point.revision) for point in points] == [
            (10.0, "commit0"),
            (11.0, "commit1"),
            (12.0, "commit2"),
        ]
        assert points[0].at == "2026-03-01T12:00:00+00:00"
        assert (points[0].artifact, points[0].device, points[0].kind) == (NET, HERE, Kind.WALL_NS)
        assert store.series(NET, HERE, "cpu, 2 threads", Kind.WALL_NS) == ()
        assert store.series(NET, HERE, "cpu, 1 thread", Kind.INSTRUCTIONS) == ()


def test_everything_that_was_asked_for_is_kept(file: Path) -> None:
    with History(file) as store:
        store.add(report(measurement(10.0)), "abc")
    rows = sqlite3.connect(file).execute("SELECT * FROM medians").fetchall()
    assert rows == [
        (1, "2026-03-01T12:00:00+00:00", "abc", NET, HERE, "cpu, 1 thread", "wall_ns", 10.0, 9.9, 10.1, 1000,
         0.85, "top-1", "0" * 64, json.dumps({"edgekit": "1.0", "onnxruntime": "1.32.0", "python": "3.11.2"})),
    ]  # fmt: skip


def test_a_report_counts_once(file: Path) -> None:
    once = report(measurement(10.0), measurement(11.0, artifact=OTHER))
    with History(file) as store:
        assert store.add(once, "abc") == 2
        assert store.add(once, "abc") == 0
        assert store.add(report(measurement(10.5)), "abc") == 1, "another job of the same second"
        assert len(store.points_for(once)) == 3


def test_invalid_measurements_are_left_out(file: Path) -> None:
    good = measurement(10.0)
    nonsense = replace(good, summary=replace(good.summary, median=Interval(float("inf"), 1.0, 2.0)), threads=2)  # type: ignore[type-var]
    with History(file) as store:
        assert store.add(report(replace(good, invalid=("throttled",)), replace(good, summary=None), nonsense), "x") == 0


def test_points_of_a_report_are_all_its_series_and_no_others(file: Path) -> None:
    with History(file) as store:
        for day in range(3):
            both = measurement(10.0), measurement(5.0, threads=2), measurement(1e6, device=ARM)
            store.add(report(*both, measurement(20.0, artifact=OTHER), day=day), str(day))
        whole = report(day=9)
        asked = replace(whole, artifacts=whole.artifacts[:1])
        points = store.points_for(asked)
    assert {(point.device, point.configuration, point.kind) for point in points} == {
        (HERE, "cpu, 1 thread", Kind.WALL_NS),
        (HERE, "cpu, 2 threads", Kind.WALL_NS),
        (ARM, "cpu, 1 thread", Kind.INSTRUCTIONS),
    }
    assert [point.revision for point in points] == sorted("012" * 3)
    assert {point.artifact for point in points} == {NET}


def test_changes_of_level_are_marked_finer_for_counts(file: Path) -> None:
    with History(file) as store:
        for day in range(16):
            new = day >= 10
            store.add(
                report(
                    measurement((1.1 if new else 1) * (10.0 + day % 3 / 20)),
                    measurement(1_005_000.0 if new else 1_000_000.0, device=ARM),
                    day=day,
                )
            )
        changed = [point for point in store.points_for(report(day=20)) if point.change]
    assert [(point.device, point.at[:10]) for point in changed] == [(HERE, "2026-03-11"), (ARM, "2026-03-11")]


def test_only_the_last_points_are_read(file: Path) -> None:
    with History(file) as store:
        for day in range(3):
            hours = (measurement(10.0 + hour / 1e4) for hour in range(168))
            store.add(report(*hours, day=day))
        points = store.points_for(report())
        assert len(points) == 500
        assert [point.at[:10] for point in points] == ["2026-03-01"] * 164 + ["2026-03-02"] * 168 + ["2026-03-03"] * 168
        assert len(store.series(NET, HERE, "cpu, 1 thread", Kind.WALL_NS, most=7)) == 7


def test_old_points_are_removed_by_age_and_by_number(file: Path) -> None:
    now = (datetime.now(UTC) - START) / timedelta(days=1)
    with History(file) as store:
        for days_ago in (40, 20, 10, 5, 1):
            store.add(report(measurement(10.0), measurement(20.0, artifact=OTHER), day=now - days_ago), str(days_ago))
        assert store.prune() == 0
        assert store.prune(older_than=timedelta(days=30)) == 2
        assert store.prune(keep=3) == 2
        for artifact in (NET, OTHER):
            left = store.series(artifact, HERE, "cpu, 1 thread", Kind.WALL_NS)
            assert [point.revision for point in left] == ["10", "5", "1"]


def test_times_of_any_zone_are_put_in_order(file: Path) -> None:
    with History(file) as store:
        store.add(replace(report(measurement(2.0)), started="2026-03-01T12:00:00"), "second")
        store.add(replace(report(measurement(1.0)), started="2026-03-01T13:30:00+02:00"), "first")
        assert [point.revision for point in store.points_for(report())] == ["first", "second"]
        with pytest.raises(InputError, match="started at 'yesterday'"):
            store.add(replace(report(measurement(2.0)), started="yesterday"))


def test_one_file_and_nothing_beside_it(file: Path) -> None:
    with History(file):
        pass
    other = sqlite3.connect(file)
    assert other.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    other.close()
    with History(file) as store:
        store.add(report(measurement(10.0)))
        assert [path.name for path in file.parent.iterdir()] == [file.name]
    header = sqlite3.connect(file)
    assert header.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert header.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert header.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_newer_file_is_refused_and_left_alone(file: Path) -> None:
    with History(file):
        pass
    other = sqlite3.connect(file)
    other.execute("PRAGMA user_version = 2")
    other.close()
    before = file.read_bytes()
    with pytest.raises(InputError, match="newer edgekit: layout 2, this one knows 1") as refused:
        History(file)
    assert "update edgekit" in refused.value.hint
    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(file: Path) -> None:
    file.write_text("revision,median\nabc,10\n" * 100)
    before = file.read_bytes()
    with pytest.raises(InputError, match="no history of edgekit: file is not a database") as refused:
        History(file)
    assert "another file" in refused.value.hint
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE medians (a)")
    other.commit()
    other.close()
    with pytest.raises(InputError, match="another program"):
        History(file)


def test_a_truncated_file_is_refused(file: Path) -> None:
    with History(file) as store:
        store.add(report(*(measurement(10.0 + number) for number in range(300))))
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)
    with pytest.raises(InputError, match="no history of edgekit"), History(file) as store:
        store.points_for(report())


@pytest.mark.parametrize("values", ["'a', 'b', 'fast'", "x'00ff', x'ff', 1.0", "1, 2, -1.0"])
def test_a_forged_file_is_refused_in_words(file: Path, values: str) -> None:
    """Our header, but columns of any type: no other error than ours comes out."""
    forged = sqlite3.connect(file)
    forged.execute("CREATE TABLE medians (id, at, revision, median, artifact, device, configuration, kind)")
    for kind in ("'wall_ns'", "'guessed'"):
        forged.execute(f"INSERT INTO medians VALUES (1, {values}, '{NET}', '{HERE}', 'cpu', {kind})")
    forged.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    forged.execute(f"PRAGMA user_version = {VERSION}")
    forged.commit()
    forged.close()
    with History(file) as store:
        with pytest.raises(InputError):
            store.points_for(report())
        with pytest.raises(InputError, match="no history of edgekit"):
            store.add(report(measurement(1.0)))


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        History(tmp_path / "missing" / "history.sqlite")
    with pytest.raises(StorageError, match="cannot be opened"):
        History(tmp_path)


def test_a_file_that_may_not_be_written_is_named(file: Path) -> None:
    with History(file) as store:
        store._connection.execute("PRAGMA query_only = ON")  # what a file without the right to write does, for root too
        with pytest.raises(StorageError, match="may not be written"):
            store.add(report(measurement(1.0)))


def test_a_file_that_another_process_has_just_made_is_not_made_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(file) as store:
        store.add(report(measurement(1.0)))
    monkeypatch.setattr(history, "_HEADER", "SELECT 0, 0, 0")  # as it was a moment ago
    with History(file) as store:
        assert len(store.points_for(report())) == 1


def test_a_name_that_is_no_text_is_refused(file: Path) -> None:
    with History(file) as store, pytest.raises(InputError, match="no text"):
        store.add(report(measurement(1.0)), "\udcff")


def test_a_locked_file_is_waited_for_and_then_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PATIENCE_S", 0.1)
    with History(file) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another process"):
            store.add(report(measurement(1.0)))
        other.execute("ROLLBACK")
        assert store.add(report(measurement(1.0))) == 1


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_history import History, measurement, report
for day in range(20):
    with History(Path(sys.argv[2])) as store:
        store.add(report(measurement(1.0 + int(sys.argv[3])), day=day), sys.argv[3])
"""


def test_processes_that_begin_and_add_at_once_lose_nothing(file: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(file)]
    writers = [subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE) for number in range(3)]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == b""
        assert writer.returncode == 0
    with History(file) as store:
        assert len(store.points_for(report())) == 60
