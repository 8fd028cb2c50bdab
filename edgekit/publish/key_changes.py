"""Changes of who may sign: rotation and revocation of keys, thresholds, new families.

A key of the root, of targets or online is replaced in the root; a family's in targets. What the new keys would not
vouch for is in the change too, to be signed by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edgekit.channel.names import TOP_ROLES, check_family
from edgekit.channel.tuf_objects import Delegations, Key, Metadata, Root, Targets
from edgekit.errors import InputError
from edgekit.publish.change import Change, change_of, check_restart, delegated_keys, next_metadata, still_signed
from edgekit.publish.founding import MOST_KEYS, Signers, delegate
from edgekit.publish.key_names import find_key, name_key
from edgekit.publish.periods import default_period, set_period
from edgekit.publish.records import Records
from edgekit.seal.keys import PublicKey
from edgekit.seal.tuf_signer import tuf_key


@dataclass(frozen=True)
class Rotation:
    """What changes about who may sign for some roles.

    Attributes:
        roles: "root", "targets", "snapshot", "timestamp", or families; all get the same change.
        add: Keys that may sign from now on.
        remove: Keys that may no longer: a key, or the beginning of its fingerprint.
        threshold: How many have to sign; None leaves it.
        restart: Versions of snapshot and timestamp begin at 1 again.
    """

    roles: tuple[str, ...]
    add: tuple[PublicKey, ...] = ()
    remove: tuple[PublicKey | str, ...] = ()
    threshold: int | None = None
    restart: bool = False


def rotate_keys(records: Records, rotation: Rotation, now: datetime) -> Change:
    """Change who may sign.

    Raises:
        InputError: A role or a key is not there, a threshold cannot be met, or nothing would change.
    """
    if not (rotation.add or rotation.remove or rotation.threshold):
        raise InputError("nothing is to change", hint="give --add KEY, --remove KEY or --threshold N")
    top = [role for role in rotation.roles if role in TOP_ROLES]
    families = [role for role in rotation.roles if role not in TOP_ROLES]
    files: dict[str, Metadata[Any]] = {}
    told: list[str] = []
    if top:
        files["root"] = next_metadata("root", records.metadata["root"], now)
        for role in top:
            told.append(_replace(files["root"].signed, role, rotation))
        if not still_signed(records.metadata["targets"], "targets", files["root"].signed):
            files["targets"] = next_metadata("targets", records.metadata["targets"], now)
    for family in families:
        records.family(family)
        if "targets" not in files:
            files["targets"] = next_metadata("targets", records.metadata["targets"], now)
        told.append(_replace(files["targets"].signed, family, rotation))
        if not still_signed(records.metadata[family], family, files["targets"].signed):
            files[family] = next_metadata(family, records.metadata[family], now)
    change = change_of(records, "; ".join(told), files, restart=rotation.restart)
    check_restart(change)
    return change


def add_family(records: Records, family: str, signers: Signers, now: datetime) -> Change:
    """Add a family, without a release.

    Raises:
        InputError: It is there already, or its name or threshold is impossible.
    """
    if check_family(family) in records.families:
        raise InputError(
            f"the channel has a family '{family}' already",
            hint=f"change its keys with: edgekit channel rotate --role {family}",
        )
    targets = next_metadata("targets", records.metadata["targets"], now)
    delegate(targets.signed, family, signers)
    first = Metadata(Targets())
    set_period(first.signed, default_period(family), now)
    return change_of(records, f"add family {family}", {"targets": targets, family: first})


def _replace(delegator: Root | Targets, role: str, rotation: Rotation) -> str:
    """Change one role's keys and threshold in the metadata that names them."""
    entry = delegator.get_delegated_role(role)
    keys = delegated_keys(delegator, role)
    removed = {find_key(keys, wanted, where=role): wanted for wanted in rotation.remove}
    kept = {keyid: key for keyid, key in keys.items() if keyid not in removed}
    for key in map(tuf_key, rotation.add):
        if key.keyid in kept:
            raise InputError(f"{role} has {name_key(key)} already")
        kept[key.keyid] = key
    threshold = rotation.threshold or entry.threshold
    if not 1 <= threshold <= len(kept) <= MOST_KEYS:
        raise InputError(
            f"{role} would need {threshold} signatures of {len(kept)} keys, which is impossible",
            hint="add keys, or change --threshold as well",
        )
    gone, new = [keys[keyid] for keyid in removed], [key for keyid, key in kept.items() if keyid not in keys]
    entry.keyids, entry.threshold = list(kept), threshold
    _keep_keys(delegator, kept)
    told = [f"remove {name_key(key)}" for key in gone] + [f"add {name_key(key)}" for key in new]
    return f"{role}: {', '.join([*told, f'{threshold} of {len(kept)} have to sign'])}"


def _keep_keys(delegator: Root | Targets, added: dict[str, Key]) -> None:
    """List the keys that some role names, and no other."""
    holder: Root | Delegations | None = delegator if isinstance(delegator, Root) else delegator.delegations
    assert holder is not None
    roles = holder.roles or {}
    holder.keys = {**holder.keys, **added}
    named = {keyid for role in roles.values() for keyid in role.keyids}
    holder.keys = {keyid: key for keyid, key in holder.keys.items() if keyid in named}
