"""TrustFolder: what a reader of a channel remembers, so that nobody can show it something older.

    metadata/root.json, timestamp.json, ...   the newest that was verified, as TUF's client workflow keeps it
    index/<sha256>.json                       release indexes, so that an unchanged channel costs no download
    seen.json                                 when it was last found current, by this machine's clock

Every file is replaced whole and flushed to the disk first: a power cut leaves the old one or the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgekit import digest
from edgekit.channel.names import ROLE
from edgekit.durable import replace_file
from edgekit.errors import ClockError, MalformedError, StorageError
from edgekit.types.strict_json import canonical, read_strict

SLACK = timedelta(minutes=5)
"""A clock may be set back by that much; time is noted in such steps."""
LARGEST_FILE_BYTES = 2**20
ORDER = ("root.json", "timestamp.json", "snapshot.json", "targets.json")
"""Written in TUF's order, families last: with any cut between them, what is there is still trusted and not older."""


class TrustFolder:
    """One reader's memory of one channel."""

    def __init__(self, path: Path) -> None:
        """Use the folder `path`; it is made when something is first written."""
        self.path = path

    def read_metadata(self) -> dict[str, bytes]:
        """File name, such as "timestamp.json" -> content; nothing is verified yet.

        Raises:
            StorageError: A file cannot be read.
        """
        found = {}
        try:
            for path in sorted((self.path / "metadata").glob("*.json")):
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_FILE_BYTES:
                    found[path.name] = path.read_bytes()
        except OSError as error:
            raise _storage_error(self.path, error) from error
        return found

    def write_metadata(self, files: Mapping[str, bytes]) -> None:
        """Replace what differs; `files` as from `read_metadata`, verified.

        Raises:
            StorageError: The folder cannot be written to.
        """
        before = self.read_metadata()
        for name in sorted(files, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
            if ROLE.fullmatch(name.removesuffix(".json")) and before.get(name) != files[name]:
                self._write(f"metadata/{name}", files[name])

    def read_index(self, sha256: str) -> bytes | None:
        """The release index of that digest, if it lies here intact."""
        try:
            data = (self.path / "index" / f"{sha256}.json").read_bytes()
        except OSError:
            return None
        return data if digest.of_bytes(data) == sha256 else None

    def write_index(self, sha256: str, data: bytes) -> None:
        """Keep a release index.

        Raises:
            StorageError: The folder cannot be written to.
        """
        self._write(f"index/{sha256}.json", data)

    def forget_indexes(self, keep: str) -> None:
        """Remove the release indexes but one."""
        for path in (self.path / "index").glob("*.json"):
            if path.name != f"{keep}.json":
                path.unlink(missing_ok=True)

    def check_clock(self, now: datetime) -> None:
        """See that time went on since `note_time`.

        Raises:
            ClockError: It went back by more than SLACK: what has expired could pass for fresh.
        """
        seen = self._seen()
        if seen is not None and now < seen - SLACK:
            raise ClockError(
                f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but it was {seen:%Y-%m-%d %H:%M} UTC "
                "when the channel was last found current",
                hint="set the clock; if it was wrong back then and is right now, "
                f"delete {self.path / 'seen.json'} and update again",
            )

    def note_time(self, now: datetime) -> None:
        """Remember that it was `now` when the channel was found current.

        Raises:
            StorageError: The folder cannot be written to.
        """
        seen = self._seen()
        if seen is None or now > seen + SLACK:
            self._write("seen.json", canonical({"time": now.astimezone(UTC).isoformat(timespec="seconds")}))

    def _seen(self) -> datetime | None:
        """The noted time; None where there is none that can be read."""
        try:
            data = read_strict((self.path / "seen.json").read_bytes(), where="seen.json", limit_bytes=1000)
            seen = datetime.fromisoformat(data["time"])
        except (OSError, MalformedError, ValueError, TypeError, KeyError):
            return None
        return seen if seen.tzinfo else None

    def _write(self, name: str, data: bytes) -> None:
        target = self.path / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
        except OSError as error:
            raise _storage_error(self.path, error) from error


def _storage_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the trust folder {path} cannot be used: {error.strerror or error}",
        hint="see that it belongs to this user, and that the disk has space",
    )
