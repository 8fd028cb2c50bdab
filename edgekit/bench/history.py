"""The history store: every valid median that was ever added, in one SQLite file.

One file, so that a CI can keep it in its cache or on a disk: no write-ahead log beside it. Several processes may add at
once; they wait for one another. The file says in its header what it is and which version of the layout it has.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from edgekit.bench.change_points import find_changes
from edgekit.errors import EdgekitError, InputError, StorageError
from edgekit.types.bench import BenchReport, HistoryPoint, Kind, Measurement

VERSION = 1
APPLICATION_ID = 0x45444B48
"""Of SQLite's header: "EDKH"."""
PATIENCE_S = 30.0
"""How long to wait for another process that writes."""
MOST_POINTS = 500
"""Of each series that is read: what a page can show, and changes of last year are no news."""
MINIMUM_EFFECTS = {Kind.WALL_NS: 0.02, Kind.INSTRUCTIONS: 0.002}
"""Smallest change of level that is marked, as a share."""

_LAYOUT = """
CREATE TABLE IF NOT EXISTS medians (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    revision TEXT NOT NULL,
    artifact TEXT NOT NULL,
    device TEXT NOT NULL,
    configuration TEXT NOT NULL,
    kind TEXT NOT NULL,
    median REAL NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    quality REAL,
    quality_name TEXT NOT NULL,
    digest TEXT NOT NULL,
    versions TEXT NOT NULL,
    UNIQUE (artifact, device, configuration, kind, at, digest, median)
) STRICT
"""
_HEADER = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
FROM pragma_application_id, pragma_user_version
"""
_ADD = """
INSERT OR IGNORE INTO medians (at, revision, artifact, device, configuration, kind, median, low, high, size_bytes,
    quality, quality_name, digest, versions)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# The casts and the kinds: a file from elsewhere may hold anything under these names.
_SERIES = """
SELECT CAST(at AS TEXT), CAST(revision AS TEXT), CAST(median AS REAL) FROM medians
WHERE artifact = ? AND device = ? AND configuration = ? AND kind = ?
ORDER BY at DESC, id DESC LIMIT ?
"""
_LINES = """
SELECT DISTINCT CAST(configuration AS TEXT), kind FROM medians
WHERE artifact = ? AND device = ? AND kind IN ('wall_ns', 'instructions') ORDER BY 1, 2
"""
_PRUNE_AGE = "DELETE FROM medians WHERE at < ?"
_PRUNE_COUNT = """
DELETE FROM medians WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER series AS place FROM medians
        WINDOW series AS (PARTITION BY artifact, device, configuration, kind ORDER BY at DESC, id DESC)
    ) WHERE place > ?
)
"""
_NO_PLACE = {
    sqlite3.SQLITE_BUSY: "another process has been writing to it for too long",
    sqlite3.SQLITE_LOCKED: "another process has been writing to it for too long",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: no such folder, or no permission",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_PERM: "it may not be written",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing failed",
}


class History:
    """One history file, open; leave its block to close it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            InputError: It is no history, or one of a newer edgekit.
            StorageError: It cannot be opened or written.
        """
        self._path = path
        with self._errors():
            self._connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
        try:
            with self._errors():
                self._prepare()
        except EdgekitError:
            self._connection.close()
            raise

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add(self, report: BenchReport, revision: str = "") -> int:
        """Add the valid measurements of a report; what is there already is left as it is.

        Args:
            report: A benchmark.
            revision: What was measured: a commit or a name.

        Returns:
            How many were new.

        Raises:
            InputError: The report does not say when it was taken.
            StorageError: The file cannot be written.
        """
        rows = list(_rows(report, revision))
        with self._transaction():
            before = self._connection.total_changes
            self._connection.executemany(_ADD, rows)
            return self._connection.total_changes - before

    def series(
        self, artifact: str, device: str, configuration: str, kind: Kind, *, most: int = MOST_POINTS
    ) -> tuple[HistoryPoint, ...]:
        """Medians of one artifact on one device in one configuration, oldest first, changes of level marked.

        Args:
            artifact: Name of the artifact.
            device: Name of the device.
            configuration: As `Measurement.configuration`.
            kind: What was counted.
            most: How many of the last ones.

        Raises:
            InputError: The file is damaged.
        """
        with self._errors():
            rows = self._connection.execute(_SERIES, (artifact, device, configuration, kind, most)).fetchall()
        points = [
            HistoryPoint(at, revision, artifact, device, configuration, kind, median)
            for at, revision, median in reversed(rows)
        ]
        changes = find_changes([point.value for point in points], minimum_effect=MINIMUM_EFFECTS[kind])
        for change in changes:
            points[change.index] = replace(points[change.index], change=True)
        return tuple(points)

    def points_for(self, report: BenchReport) -> tuple[HistoryPoint, ...]:
        """Every series of the artifacts and devices of a report, all points oldest first.

        Raises:
            InputError: The file is damaged.
        """
        found: list[HistoryPoint] = []
        for artifact in report.artifacts:
            for device in report.devices:
                with self._errors():
                    lines = self._connection.execute(_LINES, (artifact.name, device.name)).fetchall()
                for configuration, kind in lines:
                    found.extend(self.series(artifact.name, device.name, configuration, Kind(kind)))
        return tuple(sorted(found, key=lambda point: point.at))

    def prune(self, *, older_than: timedelta | None = None, keep: int | None = None) -> int:
        """Remove old medians.

        Args:
            older_than: Remove what was measured longer ago; None removes nothing for its age.
            keep: Points of each series to keep, the last ones; None removes none for their number.

        Returns:
            How many were removed.

        Raises:
            StorageError: The file cannot be written.
        """
        removed = 0
        with self._transaction():
            if older_than is not None:
                removed += self._connection.execute(_PRUNE_AGE, (_stamp(datetime.now(UTC) - older_than),)).rowcount
            if keep is not None:
                removed += self._connection.execute(_PRUNE_COUNT, (keep,)).rowcount
        return removed

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA trusted_schema = OFF")
        application, version, tables = self._connection.execute(_HEADER).fetchone()
        if tables and application != APPLICATION_ID:
            raise InputError(f"{self._path} is a database of another program", hint="give --history a file of its own")
        if version > VERSION:
            raise InputError(
                f"{self._path} was written by a newer edgekit: layout {version}, this one knows {VERSION}",
                hint="update edgekit, or give --history another file",
            )
        if not tables:
            with self._transaction():
                self._connection.execute(_LAYOUT)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
        # Other programs may have switched it on; it would put files beside this one.
        self._connection.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's errors in words.

        Raises:
            StorageError: The place is at fault.
            InputError: The file is.
        """
        try:
            yield
        except sqlite3.Error as error:
            # Errors of the sqlite3 module itself have no code; of an extended code the low byte is the family.
            family = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if family in _NO_PLACE:
                raise StorageError(
                    f"cannot use the history {self._path}: {_NO_PLACE[family]}", hint="choose another --history"
                ) from error
            raise InputError(
                f"{self._path} is no history of edgekit: {error}",
                hint="give --history another file, or remove this one to begin anew",
            ) from error
        except UnicodeEncodeError as error:
            raise InputError(f"a name for the history {self._path} is no text: {error.object!r}") from error


def _rows(report: BenchReport, revision: str) -> Iterable[tuple[object, ...]]:
    """Rows of the valid measurements, in the order of `_ADD`."""
    at = _moment(report.started)
    runtimes = {device.name: dict(device.before.runtimes) if device.before else {} for device in report.devices}
    for measurement in report.measurements:
        if measurement.valid and _is_cost(measurement):
            assert measurement.summary is not None
            median, artifact = measurement.summary.median, report.artifact(measurement.artifact)
            versions = {"edgekit": report.version, **runtimes.get(measurement.device, {})}
            yield (
                at, revision, measurement.artifact, measurement.device, measurement.configuration, measurement.kind,
                median.estimate, median.low, median.high, artifact.size_bytes, artifact.quality, artifact.quality_name,
                artifact.digest, json.dumps(versions, sort_keys=True),
            )  # fmt: skip


def _is_cost(measurement: Measurement) -> bool:
    """Whether its median is a number that a series can hold."""
    assert measurement.summary is not None
    return math.isfinite(measurement.summary.median.estimate) and measurement.summary.median.estimate > 0


def _moment(started: str) -> str:
    """A report's time in the one form that sorts as text.

    Raises:
        InputError: It is none.
    """
    try:
        moment = datetime.fromisoformat(started)
    except ValueError as error:
        raise InputError(
            f"the report says it was started at '{started}'", hint="a history needs ISO 8601 times"
        ) from error
    return _stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
