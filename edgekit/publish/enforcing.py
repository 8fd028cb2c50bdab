"""Putting a change in force: snapshot and timestamp are signed, and files are written so that readers never see a gap.

Files go out in TUF's order: root, targets, families, snapshot, and the timestamp last. All but the timestamp have
their version in their name and are seen by nobody until the timestamp leads to them: a writer that is killed leaves
the state of before. Only a new root is seen at once; where it takes the keys of snapshot or timestamp away, readers are
refused until the rest is written, and a writer that begins again starts from there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from edgekit import digest
from edgekit.channel.mirror import LIMITS
from edgekit.channel.names import TOP_ROLES, metadata_file
from edgekit.channel.tuf_objects import Metadata, MetaFile, Root, Snapshot, Timestamp
from edgekit.errors import AbsentError, InputError, KeyFileError, RollbackError, SignatureError, TransferError
from edgekit.publish.change import Change, check_restart, delegated_keys, lacks_of, next_metadata, still_signed
from edgekit.publish.key_names import name_keys
from edgekit.publish.periods import default_period, period_of, set_period
from edgekit.publish.records import Records, has_channel, to_bytes
from edgekit.seal.keys import PrivateKey
from edgekit.seal.tuf_signer import tuf_key, tuf_signer
from edgekit.transport.file import FileTransport
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport


def put_in_force(
    place: Transport, records: Records | None, change: Change, online: Sequence[PrivateKey], now: datetime
) -> tuple[str, ...]:
    """Write a change and what follows from it.

    Args:
        place: The channel.
        records: In force there; None for a new channel.
        change: What changes; without files, snapshot and timestamp are signed anew.
        online: Keys of snapshot and timestamp; others among them are passed over.
        now: The time.

    Returns:
        Names of the files, in the order of writing.

    Raises:
        SignatureError: The change lacks signatures; says how many and whose.
        KeyFileError: The online keys are not the channel's.
        RollbackError: The change was made for another state of the channel.
        InputError: There is a channel already, where a new one was to be.
        TransportError: It cannot be written.
    """
    check_fits(place, records, change)
    check_restart(change)
    _check_complete(change)
    files = _plan(records, change, online, now)
    with alone(place):
        _check_unmoved(place, records)
        for name, data in files.items():
            place.write(name, [data], size_bytes=len(data))
    return tuple(files)


@contextmanager
def alone(place: Transport) -> Iterator[None]:
    """Keep other writers of this machine out of a folder; elsewhere `_check_unmoved` alone has to do.

    Raises:
        TransportError: The folder cannot be made or opened.
    """
    if not isinstance(place, FileTransport):
        yield
        return
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TransferError(f"the channel cannot be written: {error.strerror}", source=place.url) from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _plan(records: Records | None, change: Change, online: Sequence[PrivateKey], now: datetime) -> dict[str, bytes]:
    """Every file to be written, in order."""
    new = dict(change.files)
    root: Root = (new.get("root") or _of(records, "root")).signed
    data = {role: to_bytes(metadata) for role, metadata in new.items()}
    ordered = [role for role in ("root", "targets") if role in new] + sorted(set(new) - set(TOP_ROLES))
    files = {metadata_file(role, new[role].signed.version): data[role] for role in ordered}

    before = records.metadata["snapshot"] if records else None
    listed = {f"{role}.json": _meta(new[role].signed.version, data[role]) for role in ordered if role != "root"}
    if (
        before is None
        or change.restart
        or listed
        or not still_signed(before, "snapshot", root)
        or "snapshot" in change.periods
        or _is_old(before, now)
    ):
        snapshot = _next("snapshot", before, change, now)
        snapshot.signed.meta = {**(before.signed.meta if before else {}), **listed}
        _sign("snapshot", snapshot, root, online)
        snapshot_data = to_bytes(snapshot)
        files[metadata_file("snapshot", snapshot.signed.version)] = snapshot_data
        meta = _meta(snapshot.signed.version, snapshot_data)
    else:
        meta = _of(records, "timestamp").signed.snapshot_meta
    timestamp = _next("timestamp", records.metadata["timestamp"] if records else None, change, now)
    timestamp.signed.snapshot_meta = meta
    _sign("timestamp", timestamp, root, online)
    files[metadata_file("timestamp")] = to_bytes(timestamp)
    return files


def _next(role: str, before: Metadata[Any] | None, change: Change, now: datetime) -> Metadata[Any]:
    """The next version of snapshot or timestamp, or the first; unsigned."""
    if before is not None and not change.restart:
        return next_metadata(role, before, now, period=change.periods.get(role))
    metadata: Metadata[Any] = Metadata(Snapshot() if role == "snapshot" else Timestamp())
    kept = period_of(role, before.signed) if before else default_period(role)
    set_period(metadata.signed, change.periods.get(role, kept), now)
    return metadata


def _sign(role: str, metadata: Metadata[Any], root: Root, online: Sequence[PrivateKey]) -> None:
    """Sign with those of the online keys that count.

    Raises:
        KeyFileError: They are too few.
    """
    wanted = delegated_keys(root, role)
    for key in online:
        if tuf_key(key.public).keyid in wanted:
            metadata.sign(tuf_signer(key), append=True)
    if not still_signed(metadata, role, root):
        given = ", ".join(str(key.public) for key in online) or "no key"
        raise KeyFileError(
            f"{role} is signed by {name_keys(wanted.values())}, and {given} was given", hint="give it with --online-key"
        )


def _is_old(metadata: Metadata[Any], now: datetime) -> bool:
    """Less than half of its life is left."""
    left: timedelta = metadata.signed.expires - now
    return left < period_of("snapshot", metadata.signed) / 2


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": digest.of_bytes(data)})


def _of(records: Records | None, role: str) -> Metadata[Any]:
    assert records is not None, "a new channel's change has every role"
    return records.metadata[role]


def _check_complete(change: Change) -> None:
    lacks = lacks_of(change)
    if lacks:
        raise SignatureError(
            "signatures are missing: " + "; ".join(map(str, lacks)),
            hint="let the others sign: edgekit channel sign REQUEST --key KEY, then apply all copies together",
        )


def check_fits(place: Transport, records: Records | None, change: Change) -> None:
    """That a change is about the state that is in force.

    Args:
        place: The channel.
        records: In force there; None where there is none.
        change: Made some time ago.

    Raises:
        RollbackError: Something else came first, or it is for another channel.
        InputError: It founds a channel where there is one, or changes one where there is none.
    """
    if not change.files:
        return
    if records is None:
        if change.before:
            raise InputError(f"there is no channel at {place.url} that this change could be for")
        if has_channel(place):
            raise InputError(f"there is a channel at {place.url} already", hint="choose another place for the new one")
        return
    if not change.before:
        raise InputError(f"there is a channel at {place.url} already, and this change founds a new one")
    for role, metadata in change.before.items():
        current = records.metadata.get(role)
        if current is None or current.signed_bytes != metadata.signed_bytes:
            raise RollbackError(
                f"the channel's {role} is not the one that this change was made for: something else came first, "
                "or it is another channel",
                hint="make the change again, and let it be signed again",
            )


def _check_unmoved(place: Transport, records: Records | None) -> None:
    """That nobody else has published since the channel was read."""
    try:
        found = read_all(place, metadata_file("timestamp"), limit_bytes=LIMITS.timestamp_max_length)
    except AbsentError:
        found = None
    if found != (records.files["timestamp"] if records else None):
        raise RollbackError(f"{place.url} was changed by somebody else just now", hint="try again")
