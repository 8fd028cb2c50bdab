"""Signing requests: a change as a file, carried from one signer's machine to the next.

A request holds the new metadata with the signatures so far, and the metadata in force that it replaces, which the
signer's program verifies and holds against the new one. Copies may be signed at the same time and merged afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from edgekit.channel.mirror import check_root
from edgekit.channel.names import TOP_ROLES, check_family
from edgekit.channel.tuf_objects import Metadata
from edgekit.errors import InputError, MalformedError, RollbackError, SignatureError, StorageError
from edgekit.publish.change import Change, check_restart, needs_of
from edgekit.publish.periods import HOUR, LONGEST
from edgekit.publish.records import check_signed, delegated_roles, parse_metadata
from edgekit.types.strict_json import canonical, read_strict

SCHEMA = "edgekit.signing-request/1"
LARGEST_BYTES = 4 * 2**20
_FIELDS = {"schema", "files", "before", "restart", "periods"}


def write_request(change: Change) -> bytes:
    """A change as canonical JSON.

    Law: write_request(read_request(data)) == data for what this wrote.
    """
    return canonical(
        {
            "schema": SCHEMA,
            "files": {role: metadata.to_dict() for role, metadata in change.files.items()},
            "before": {role: metadata.to_dict() for role, metadata in change.before.items()},
            "restart": change.restart,
            "periods": {role: period // HOUR for role, period in change.periods.items()},
        }
    )


def read_request(data: bytes, *, where: str) -> Change:
    """Read a request; what it calls the metadata in force is verified as far as it can be without the channel.

    Args:
        data: The file.
        where: What it is, for messages.

    Raises:
        MalformedError: It is no request, or its parts do not belong together.
        SignatureError: What it calls the metadata in force is not signed, or one of the signatures so far is wrong.
        RollbackError: A version does not count up by one.
        InputError: Versions would begin again under keys that stay.
    """
    found = read_strict(data, where=where, limit_bytes=LARGEST_BYTES)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise MalformedError(f"{where} is no signing request", hint="edgekit channel and edgekit publish write them")
    if set(found) != _FIELDS or not isinstance(found["restart"], bool):
        raise MalformedError(f"{where} is no signing request of {SCHEMA}")
    files = _metadata(found["files"], f"{where}: files")
    before = _metadata(found["before"], f"{where}: before")
    if not files:
        raise MalformedError(f"{where} changes nothing")
    periods = _periods(found["periods"], f"{where}: periods")
    if periods and before:
        raise MalformedError(f"{where}: only a new channel's request has periods, which nobody signs")
    about = ", ".join(f"{role} version {metadata.signed.version}" for role, metadata in files.items())
    change = Change(about, files, before, found["restart"], periods)
    _check_before(change, where)
    check_restart(change)
    _check_versions(change, where)
    _check_signatures(change, where)
    return change


def check_begins(change: Change, trust: bytes) -> None:
    """That a request is about the channel that its signer trusts, under the root that its signer knows.

    Without this, or a look at the channel itself, what a request calls the metadata in force is anybody's.

    Args:
        change: As it was read.
        trust: The channel's newest root metadata, as the signer has it.

    Raises:
        InputError: It founds a new channel.
        SignatureError: It begins from another root.
    """
    root = parse_metadata(check_root(trust, where="the root metadata to trust"), "root", where="the root to trust")
    if not change.before:
        raise InputError("this request founds a new channel", hint="without --trust, all that it founds is shown")
    before = change.before["root"]
    if before.signed_bytes != root.signed_bytes:
        raise SignatureError(
            f"what this request calls the channel's root, version {before.signed.version}, is not the trusted root, "
            f"version {root.signed.version}",
            hint="if the channel has a newer root, have it verified: --channel CHANNEL; or else it is a forgery",
        )


def merge(changes: Sequence[Change]) -> Change:
    """One change with the signatures of several copies of it.

    Raises:
        InputError: They are different changes.
    """
    first = changes[0]
    for other in changes[1:]:
        same = (other.restart, other.periods) == (first.restart, first.periods)
        if not same or _substance(other) != _substance(first):
            raise InputError(
                f"these requests are not copies of one: {first.about}; {other.about}",
                hint="apply them one after the other; the later one has to be made anew",
            )
        for role, metadata in other.files.items():
            first.files[role].signatures.update(metadata.signatures)
    return first


def _substance(change: Change) -> dict[str, bytes]:
    """What signatures are over, by role."""
    return {role: metadata.signed_bytes for role, metadata in change.files.items()}


def _metadata(found: object, where: str) -> dict[str, Metadata[Any]]:
    if not isinstance(found, Mapping):
        raise MalformedError(f"{where} is no object")
    read = {}
    for role, document in found.items():
        if role in ("snapshot", "timestamp"):
            raise MalformedError(f"{where}: {role} is signed when a change is put in force, never beforehand")
        if role not in TOP_ROLES:
            try:
                check_family(role)
            except InputError as error:
                raise MalformedError(f"{where}: {error}") from error
        try:
            data = canonical(document)
        except ValueError as error:
            raise MalformedError(f"{where}: {role} has no canonical form: {error}") from error
        read[role] = parse_metadata(data, role, where=f"{where}: {role}")
    return read


def _periods(found: object, where: str) -> dict[str, timedelta]:
    if not isinstance(found, Mapping) or not set(found) <= {"snapshot", "timestamp"}:
        raise MalformedError(f"{where} are not those of snapshot and timestamp")
    if not all(type(hours) is int and 1 <= hours <= LONGEST // HOUR for hours in found.values()):
        raise MalformedError(f"{where} are no whole hours, up to ten years")
    return {role: hours * HOUR for role, hours in found.items()}


def _check_before(change: Change, where: str) -> None:
    """That what is said to be in force is signed by who may, and is there for each role that changes."""
    before, told = change.before, f"{where}: what it calls the metadata in force"
    if not before:
        if not {"root", "targets"} <= set(change.files):
            raise MalformedError(f"{where}: a new channel has a root and targets")
    elif not {"root", "targets"} <= set(before):
        raise MalformedError(f"{told} lacks root or targets")
    else:
        for role, metadata in before.items():
            delegator = before["root"].signed if role in TOP_ROLES else before["targets"].signed
            check_signed(metadata, role, delegator, where=told)
    delegated = delegated_roles(change.targets)
    for role in change.files:
        if role not in TOP_ROLES and role not in delegated:
            raise MalformedError(f"{where}: nobody may sign for '{role}'")


def _check_versions(change: Change, where: str) -> None:
    for role, metadata in change.files.items():
        wanted = change.before[role].signed.version + 1 if role in change.before else 1
        if metadata.signed.version != wanted:
            raise RollbackError(f"{where}: {role} has version {metadata.signed.version}, where {wanted} is next")


def _check_signatures(change: Change, where: str) -> None:
    """That every signature is by a key that counts, and right: a wrong one would only be found later, by others."""
    valid = {(need.role, keyid) for need in needs_of(change) for keyid in need.signed}
    for role, metadata in change.files.items():
        for keyid in metadata.signatures:
            if (role, keyid) not in valid:
                raise SignatureError(
                    f"{where}: the signature of {role} by key id {str(keyid)[:16]} is wrong, or does not count"
                )


def load_request(path: Path) -> Change:
    """Read a request from a file.

    Raises:
        InputError: It cannot be read.
        TrustError: As `read_request`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    return read_request(data, where=path.name)


def save_request(change: Change, path: Path) -> None:
    """Write a request to a file, whole or not at all; one that is there is replaced.

    Raises:
        StorageError: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.new")
    try:
        unfinished.write_bytes(write_request(change))
        os.replace(unfinished, path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", hint="choose another with --request"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def file_name(change: Change) -> str:
    """What a request is called where nobody says: "vision-4.request.json", for version 4 of vision."""
    role = list(change.files)[-1]
    return f"{role}-{change.files[role].signed.version}.request.json"
