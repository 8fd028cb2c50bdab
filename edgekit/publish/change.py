"""Change: new metadata for some roles of a channel, with the signatures that it has so far and those it still needs.

Only roles whose keys are kept apart appear in it: root, targets and families. Snapshot and timestamp follow from them
and are signed when the change is put in force (`edgekit.publish.enforcing`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edgekit.channel.tuf_objects import Key, Metadata, Root, Targets, VerificationResult
from edgekit.errors import InputError, KeyFileError
from edgekit.publish.key_names import name_keys
from edgekit.publish.periods import period_of, set_period
from edgekit.publish.records import Records
from edgekit.seal.keys import PrivateKey
from edgekit.seal.tuf_signer import tuf_key, tuf_signer

ONLINE = ("snapshot", "timestamp")
"""Roles whose metadata follows from the others', and whose keys are at hand wherever a change is put in force."""


@dataclass(frozen=True)
class Change:
    """What is to be signed.

    Attributes:
        about: What it is for, in words.
        files: Role -> its next metadata; `sign` adds to their signatures.
        before: Role -> metadata in force, of those in `files` and of root and targets; empty for a new channel.
        restart: Versions of snapshot and timestamp begin at 1 again: their old keys are in this change no more.
        periods: "snapshot", "timestamp" -> how long they are valid from now on, where that changes.
    """

    about: str
    files: Mapping[str, Metadata[Any]]
    before: Mapping[str, Metadata[Any]] = field(default_factory=dict)
    restart: bool = False
    periods: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def root(self) -> Root:
        """The root under which it will be in force."""
        root: Root = (self.files.get("root") or self.before["root"]).signed
        return root

    @property
    def targets(self) -> Targets:
        """The targets under which it will be in force."""
        targets: Targets = (self.files.get("targets") or self.before["targets"]).signed
        return targets


@dataclass(frozen=True)
class Need:
    """Signatures that a metadata file needs.

    Attributes:
        role: Whose file.
        by: Who has to sign, in words: "root", "the root before", "vision".
        threshold: How many.
        signed: Keys that have signed, by key id.
        unsigned: Keys that may and have not.
    """

    role: str
    by: str
    threshold: int
    signed: Mapping[str, Key]
    unsigned: Mapping[str, Key]

    @property
    def missing(self) -> int:
        """How many signatures are lacking."""
        return max(0, self.threshold - len(self.signed))

    def __str__(self) -> str:
        have = f"{len(self.signed)} of {self.threshold} signatures"
        if not self.missing:
            return f"{self.role} has {have} by {self.by}"
        return f"{self.role} has {have} by {self.by}; {self.missing} more of {name_keys(self.unsigned.values())}"


def change_of(records: Records, about: str, files: Mapping[str, Metadata[Any]], *, restart: bool = False) -> Change:
    """A change of what is in force."""
    before = {role: records.metadata[role] for role in ("root", "targets", *files) if role in records.metadata}
    return Change(about, files, before, restart)


def next_metadata(
    role: str, current: Metadata[Any], now: datetime, *, period: timedelta | None = None
) -> Metadata[Any]:
    """The next version of a role's metadata, the same otherwise, without signatures.

    Args:
        role: Whose.
        current: In force.
        now: It is valid from here on, for its period.
        period: Another period than before.
    """
    metadata: Metadata[Any] = Metadata(copy.deepcopy(current.signed))
    metadata.signed.version += 1
    set_period(metadata.signed, period_of(role, current.signed) if period is None else period, now)
    return metadata


def needs_of(change: Change) -> tuple[Need, ...]:
    """Who has to sign what: a new root by the old root's keys and by its own, targets by the root's, and so on."""
    found = []
    for role, metadata in change.files.items():
        if role == "root":
            if "root" in change.before:
                before: Root = change.before["root"].signed
                found.append(_need(role, "the root before", before, "root", metadata))
            found.append(_need(role, "root", metadata.signed, "root", metadata))
        elif role == "targets":
            found.append(_need(role, "targets", change.root, "targets", metadata))
        else:
            found.append(_need(role, role, change.targets, role, metadata))
    return tuple(found)


def lacks_of(change: Change) -> tuple[Need, ...]:
    """Needs that are not met yet."""
    return tuple(need for need in needs_of(change) if need.missing)


def check_keys(change: Change, keys: Iterable[PrivateKey]) -> None:
    """That each key may sign something of a change; nothing is signed.

    Raises:
        KeyFileError: A key counts for none of the files.
    """
    for key in keys:
        if not _signs(change, key):
            needs = needs_of(change)
            wanted = {each.keyid: each for need in needs for each in (*need.signed.values(), *need.unsigned.values())}
            raise KeyFileError(
                f"{key.public} may sign none of {', '.join(change.files)}",
                hint=f"these may: {name_keys(wanted.values())}",
            )


def sign_change(change: Change, keys: Iterable[PrivateKey], *, optional: bool = False) -> tuple[str, ...]:
    """Sign every file for which a key counts.

    Args:
        change: Signatures are added to its files.
        keys: Who signs.
        optional: A key that counts for no file is passed over.

    Returns:
        "KEY signed ROLE", for people.

    Raises:
        KeyFileError: A key counts for none of the files.
    """
    told = []
    for key in keys:
        if not optional:
            check_keys(change, [key])
        for role in _signs(change, key):
            change.files[role].sign(tuf_signer(key), append=True)
            told.append(f"{key.public} signed {role}")
    return tuple(told)


def _signs(change: Change, key: PrivateKey) -> tuple[str, ...]:
    """Roles of a change for whose files a key counts."""
    keyid = tuf_key(key.public).keyid
    roles = (need.role for need in needs_of(change) if keyid in need.signed or keyid in need.unsigned)
    return tuple(dict.fromkeys(roles))


def check_restart(change: Change) -> None:
    """Versions may begin again only if no reader takes the old metadata for trusted: TUF's specification, 5.3.11.

    Raises:
        InputError: A key of snapshot or timestamp stays, and would vouch for old metadata with higher versions.
    """
    if not change.restart:
        return
    before: Root | None = change.before["root"].signed if "root" in change.before else None
    for role in ONLINE:
        if before is None or set(delegated_keys(before, role)) & set(delegated_keys(change.root, role)):
            raise InputError(
                f"versions cannot begin again while {role} keeps a key: readers would take it for a rollback",
                hint="replace every key of both: --role snapshot --role timestamp --remove OLD --add NEW",
            )


def still_signed(metadata: Metadata[Any], role: str, delegator: Root | Targets) -> bool:
    """Whether metadata in force is signed by enough keys of a delegator that is to come."""
    return bool(delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures))


def delegated_keys(delegator: Root | Targets, role: str) -> dict[str, Key]:
    """Key id -> key, of those that may sign for a role."""
    known = delegator.keys if isinstance(delegator, Root) else _delegation_keys(delegator)
    return {keyid: known[keyid] for keyid in delegator.get_delegated_role(role).keyids if keyid in known}


def _delegation_keys(targets: Targets) -> Mapping[str, Key]:
    return targets.delegations.keys if targets.delegations else {}


def _need(role: str, by: str, delegator: Root | Targets, delegated: str, metadata: Metadata[Any]) -> Need:
    found: VerificationResult = delegator.get_verification_result(delegated, metadata.signed_bytes, metadata.signatures)
    return Need(role, by, found.threshold, found.signed, found.unsigned)
