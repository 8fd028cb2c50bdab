"""The first metadata of a channel: who may sign for what, and how many have to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edgekit.channel.names import TOP_ROLES, check_family
from edgekit.channel.tuf_objects import DelegatedRole, Delegations, Metadata, Root, Targets
from edgekit.errors import InputError
from edgekit.publish.change import Change
from edgekit.publish.periods import check_period, default_period, set_period
from edgekit.seal.keys import PublicKey
from edgekit.seal.tuf_signer import tuf_key

MOST_KEYS = 32


@dataclass(frozen=True)
class Signers:
    """Who may sign for a role.

    Attributes:
        keys: Public keys.
        threshold: How many of them have to sign.
    """

    keys: tuple[PublicKey, ...]
    threshold: int = 1


@dataclass(frozen=True)
class ChannelPlan:
    """What a new channel is to be.

    Attributes:
        root: Who may replace every key; kept offline.
        targets: Who decides which families there are, and who may sign for them; kept offline.
        online: Who signs snapshot and timestamp, at every publication and refresh; one of them is enough.
        families: Family -> who signs its releases.
        periods: Role or family -> how long its metadata is valid; those that are missing have the default.
    """

    root: Signers
    targets: Signers
    online: Signers
    families: Mapping[str, Signers]
    periods: Mapping[str, timedelta] = field(default_factory=dict)


def plan_channel(plan: ChannelPlan, now: datetime) -> Change:
    """The first root, targets and families of a channel; nothing is signed or written yet.

    Raises:
        InputError: A threshold cannot be met, a key stands twice in a role, or a family has an impossible name.
    """
    unknown = set(plan.periods) - {*TOP_ROLES, *plan.families}
    if unknown:
        raise InputError(f"a period is given for '{min(unknown)}', which is no role of this channel")
    root = Root(consistent_snapshot=True)
    for role, signers in (
        ("root", plan.root), ("targets", plan.targets), ("snapshot", plan.online), ("timestamp", plan.online),
    ):  # fmt: skip
        check_signers(signers.keys, signers.threshold, where=role)
        root.roles[role].threshold = signers.threshold
        for key in signers.keys:
            root.add_key(tuf_key(key), role)
    targets = Targets(delegations=Delegations({}, {}))
    files: dict[str, Metadata[Any]] = {"root": Metadata(root), "targets": Metadata(targets)}
    for family, signers in plan.families.items():
        delegate(targets, family, signers)
        files[family] = Metadata(Targets())
    for role, metadata in files.items():
        set_period(metadata.signed, plan.periods.get(role, default_period(role)), now)
    families = ", ".join(plan.families) or "no family yet"
    online = {role: plan.periods[role] for role in ("snapshot", "timestamp") if role in plan.periods}
    for period in online.values():
        check_period(period)
    return Change(f"found a channel ({families})", files, periods=online)


def delegate(targets: Targets, family: str, signers: Signers) -> None:
    """Let a family's signers, and nobody else, sign the targets FAMILY/*.

    Raises:
        InputError: The name or the threshold is impossible.
    """
    check_family(family)
    check_signers(signers.keys, signers.threshold, where=family)
    if targets.delegations is None:
        targets.delegations = Delegations({}, {})
    keys = {key.keyid: key for key in map(tuf_key, signers.keys)}
    roles = targets.delegations.roles if targets.delegations.roles is not None else {}
    roles[family] = DelegatedRole(family, list(keys), signers.threshold, terminating=True, paths=[f"{family}/*"])
    targets.delegations.roles = dict(sorted(roles.items()))
    targets.delegations.keys.update(keys)


def check_signers(keys: Sequence[PublicKey], threshold: int, *, where: str) -> None:
    """A role's keys and threshold.

    Raises:
        InputError: No key, too many, one twice, or a threshold that they cannot meet.
    """
    if len(set(keys)) != len(keys):
        raise InputError(f"{where} has a key twice", hint="a threshold counts different keys")
    if not 1 <= len(keys) <= MOST_KEYS:
        raise InputError(f"{where} has {len(keys)} keys; 1 to {MOST_KEYS} are possible")
    if not 1 <= threshold <= len(keys):
        raise InputError(f"{where} needs {threshold} signatures of {len(keys)} keys, which is impossible")
