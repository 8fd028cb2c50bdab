"""Changes of what is current: a new release, a revocation, a withdrawal, or the same for a while longer."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from edgekit import digest
from edgekit.channel.names import ReleaseNotice, check_model, deltas_path, target_path
from edgekit.channel.tuf_objects import TargetFile
from edgekit.errors import InputError, RollbackError
from edgekit.publish.change import Change, change_of, next_metadata
from edgekit.publish.periods import check_period, period_of
from edgekit.publish.records import Records


def announce(
    records: Records, name: str, index: bytes, notice: ReleaseNotice, now: datetime, *, deltas: bytes | None = None
) -> Change:
    """Make a release current.

    Args:
        records: In force.
        name: FAMILY/NAME.
        index: The release index: the bundle's `index.json`.
        notice: What is said of it.
        now: The time.
        deltas: Its delta index; None for none, also where the release before had one.

    Raises:
        RollbackError: Its version is not above the current one's, or below the oldest that may run; or the oldest
            would go down.
        InputError: The channel has no such family.
    """
    family = check_model(name).partition("/")[0]
    current = records.release(name)
    if current:
        _check_forward(name, current, index, notice)
    metadata = next_metadata(family, records.metadata[family], now)
    path = target_path(name)
    target = TargetFile(len(index), {"sha256": digest.of_bytes(index)}, path, {"custom": notice.to_custom()})
    metadata.signed.targets[path] = target
    metadata.signed.targets.pop(deltas_path(name), None)
    if deltas is not None:
        path = deltas_path(name)
        metadata.signed.targets[path] = TargetFile(len(deltas), {"sha256": digest.of_bytes(deltas)}, path)
    return change_of(records, f"publish {name} version {notice.version} ({notice.semver})", {family: metadata})


def revoke(records: Records, name: str, below: int, now: datetime) -> Change:
    """Raise the lowest version that may still run; nodes leave what lies below it.

    Raises:
        InputError: There is no such model, or `below` is above its current version.
        RollbackError: It would go down.
    """
    target, notice = _current(records, name)
    if below > notice.version:
        raise InputError(
            f"{name} is at version {notice.version}, and nothing would be left to run",
            hint="publish a newer version first, or take the model out of the channel: --withdraw",
        )
    if below <= notice.oldest:
        raise RollbackError(f"{name}: versions below {notice.oldest} are revoked already, which cannot be undone")
    family = name.partition("/")[0]
    metadata = next_metadata(family, records.metadata[family], now)
    custom = dataclasses.replace(notice, oldest=below).to_custom()
    changed = TargetFile(target.length, target.hashes, target.path, {"custom": custom})
    metadata.signed.targets[target.path] = changed
    return change_of(records, f"revoke {name} below version {below}", {family: metadata})


def withdraw(records: Records, name: str, now: datetime) -> Change:
    """Take a model out of the channel.

    Raises:
        InputError: There is no such model.
    """
    target, _ = _current(records, name)
    family = name.partition("/")[0]
    metadata = next_metadata(family, records.metadata[family], now)
    del metadata.signed.targets[target.path]
    metadata.signed.targets.pop(deltas_path(name), None)
    return change_of(records, f"withdraw {name}", {family: metadata})


def prolong(records: Records, roles: tuple[str, ...], period: timedelta | None, now: datetime) -> Change:
    """Sign metadata anew, so that it does not expire.

    Args:
        records: In force, or expired.
        roles: Which; the timestamp is signed anew by every change.
        period: How long they are valid from now on; None as before.
        now: The time.

    Raises:
        InputError: There is no such role, or a period is given for roles that are signed apart.
    """
    online = [role for role in roles if role in ("snapshot", "timestamp")]
    offline = [role for role in roles if role not in online]
    for role in offline:
        if role not in ("root", "targets"):
            records.family(role)
    if online and offline and period:
        raise InputError(
            f"{', '.join(online)} cannot get a period together with {', '.join(offline)}", hint="call it once for each"
        )
    files = {role: next_metadata(role, records.metadata[role], now, period=period) for role in offline}
    if files:  # snapshot and timestamp follow anyway
        online = []
    periods = {role: period or period_of(role, records.metadata[role].signed) for role in online}
    change = change_of(records, f"sign {', '.join(roles)} anew", files)
    return dataclasses.replace(change, periods={role: check_period(each) for role, each in periods.items()})


def _current(records: Records, name: str) -> tuple[TargetFile, ReleaseNotice]:
    current = records.release(check_model(name))
    if current is None:
        raise InputError(f"the channel has no model '{name}'", hint="see: edgekit channel status CHANNEL")
    return current


def _check_forward(name: str, current: tuple[TargetFile, ReleaseNotice], index: bytes, notice: ReleaseNotice) -> None:
    target, before = current
    same = target.hashes.get("sha256") == digest.of_bytes(index)
    if notice.version < before.version or (notice.version == before.version and not same):
        raise RollbackError(
            f"{name} is at version {before.version} in this channel, and this bundle has version {notice.version}",
            hint=f"pack it with --version {before.version + 1} or above",
        )
    if notice.oldest < before.oldest:
        raise RollbackError(f"{name}: versions below {before.oldest} are revoked, which cannot be undone")
