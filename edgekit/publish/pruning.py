"""Pruning: files of a channel's folder that no reader can be led to any more.

What is in force stays, and so does what was in force within the last days, since mirrors and readers may lag. Whatever
was written lately stays too: it may belong to a publication that waits for signatures. Roots stay for ever.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edgekit.addressing.torrent import torrent_file
from edgekit.channel.mirror import LIMITS
from edgekit.channel.names import DELTAS, ROLE, metadata_file, proof_file, target_file
from edgekit.channel.tuf_objects import Snapshot, Targets
from edgekit.delta.index import LARGEST_INDEX_BYTES, read_index
from edgekit.errors import AbsentError, InputError, LengthError, MalformedError, StorageError, TransportError
from edgekit.oci.media_types import IMAGE_INDEX, IMAGE_MANIFEST
from edgekit.oci.reading import MOST_MANIFEST_BYTES
from edgekit.publish.periods import period_of
from edgekit.publish.records import Records, parse_metadata
from edgekit.transport.file import FileTransport
from edgekit.transport.reading import read_all
from edgekit.types.blob import Blob
from edgekit.types.strict_json import read_strict

_SHA256 = "[0-9a-f]{64}"
_OURS = re.compile(
    rf"metadata/[0-9]{{1,10}}\.(?!root\.json){ROLE.pattern}\.json"
    rf"|targets/{ROLE.pattern}/{_SHA256}\.[a-z0-9._-]+(?:\+deltas)?\.json"
    rf"|blobs/sha256/{_SHA256}"
    rf"|torrents/{_SHA256}\.torrent"
    rf"|proofs/{_SHA256}\.tlog-proof"
    r"|(?:.+/)?\.[0-9a-f]{16}\.part"
)
"""Names that pruning may remove: versioned metadata, indexes, blobs, what is about them, what a killed writer left."""


@dataclass(frozen=True)
class Surplus:
    """What nobody can be led to.

    Attributes:
        files: Names below the channel's folder, sorted.
        size_bytes: Of all of them.
    """

    files: tuple[str, ...]
    size_bytes: int


def find_surplus(place: FileTransport, records: Records, now: datetime, *, keep: timedelta) -> Surplus:
    """Look for what can go.

    Args:
        place: The channel's folder.
        records: In force there.
        now: The time.
        keep: What was in force, or was written, that long ago or later stays.

    Raises:
        InputError: `keep` is shorter than a timestamp is valid.
        StorageError: The folder cannot be read.
        TransportError: A document of a release is missing, so that nobody can tell what it needs.
        MalformedError: It is damaged.
    """
    valid = period_of("timestamp", records.metadata["timestamp"].signed)
    if keep < valid:
        raise InputError(
            f"a timestamp is believed for {valid}, and what it leads to has to stay that long", hint="raise --keep"
        )
    reached = _Reach(place)
    for snapshot in _snapshots(place, records, now - keep):
        reached.snapshot(snapshot)
    files, size_bytes = [], 0
    try:
        for name, path in _walk(place.folder):
            status = path.lstat()
            if name not in reached.names and datetime.fromtimestamp(status.st_mtime, UTC) < now - keep:
                files.append(name)
                size_bytes += status.st_size
    except OSError as error:
        raise StorageError(f"{place.url} cannot be read: {error.strerror}") from error
    return Surplus(tuple(sorted(files)), size_bytes)


def remove_surplus(place: FileTransport, surplus: Surplus) -> None:
    """Remove it.

    Raises:
        StorageError: A file cannot be removed.
    """
    try:
        for name in surplus.files:
            (place.folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{place.url}: a file cannot be removed: {error.strerror}") from error


def _snapshots(place: FileTransport, records: Records, since: datetime) -> Iterator[Snapshot]:
    """Those that were in force at some time since then, newest first."""
    newer = records.snapshot
    yield newer
    while newer.expires - period_of("snapshot", newer) > since and newer.version > 1:
        older = _parsed(place, "snapshot", newer.version - 1, LIMITS.snapshot_max_length)
        if not isinstance(older, Snapshot):
            return
        yield older
        newer = older


def _parsed(place: FileTransport, role: str, version: int, limit_bytes: int) -> Any:
    """Metadata that was in force; None where it is gone. It is not verified: it can only let more stay."""
    name = metadata_file(role, version)
    try:
        return parse_metadata(read_all(place, name, limit_bytes=limit_bytes), role, where=name).signed
    except (TransportError, MalformedError):
        return None


class _Reach:
    """What is reached, as names of files.

    Attributes:
        names: So far.
    """

    def __init__(self, place: FileTransport) -> None:
        self._place = place
        self.names: set[str] = set()

    def snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot, the metadata that it lists, their release indexes, and the blobs of these."""
        self.names.add(metadata_file("snapshot", snapshot.version))
        for file, meta in snapshot.meta.items():
            role = file.removesuffix(".json")
            name = metadata_file(role, meta.version)
            if name in self.names or not ROLE.fullmatch(role):
                continue
            self.names.add(name)
            targets = _parsed(self._place, role, meta.version, LIMITS.targets_max_length)
            if isinstance(targets, Targets):
                for path, target in targets.targets.items():
                    self._target(path.removesuffix(".json"), target.hashes.get("sha256", ""))

    def _target(self, name: str, sha256: str) -> None:
        """A release index with the proof of it, or a delta index."""
        file = target_file(name, sha256)
        if not name.endswith(DELTAS):
            self.names.add(proof_file(sha256))
            self._document(file)
        elif file not in self.names:
            self.names.add(file)
            with suppress(AbsentError, LengthError, MalformedError):  # then nobody is led to a delta by it
                for delta in read_index(read_all(self._place, file, limit_bytes=LARGEST_INDEX_BYTES)):
                    self.names.add(delta.blob.file_name)

    def _document(self, name: str) -> None:
        """A release index, an image index or an image manifest, and all that it refers to."""
        if name in self.names:
            return
        self.names.add(name)
        data = read_all(self._place, name, limit_bytes=MOST_MANIFEST_BYTES)
        for media_type, sha256 in _referred(read_strict(data, where=name, limit_bytes=MOST_MANIFEST_BYTES)):
            blob = Blob(sha256, 0).file_name
            if media_type in (IMAGE_INDEX, IMAGE_MANIFEST):
                self._document(blob)
            self.names |= {blob, torrent_file(sha256)}


def _referred(value: Any) -> Iterator[tuple[object, str]]:
    """Media type and sha256 of every descriptor in a document."""
    if isinstance(value, dict):
        digest = value.get("digest")
        if isinstance(digest, str) and re.fullmatch(f"sha256:{_SHA256}", digest):
            yield value.get("mediaType"), digest.removeprefix("sha256:")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _referred(item)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files of a channel that may be removed, without following links."""
    for top in ("metadata", "targets", "blobs", "torrents", "proofs"):
        for parent, _, files in os.walk(folder / top):
            for file in files:
                path = Path(parent, file)
                name = path.relative_to(folder).as_posix()
                if _OURS.fullmatch(name) and not path.is_symlink():
                    yield name, path
