"""What state a channel is in: versions, expiry, keys, who signed, what is current, and what needs doing soon."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edgekit.channel.names import DELTAS, TOP_ROLES, ReleaseNotice, check_model, target_path
from edgekit.channel.tuf_objects import Key
from edgekit.errors import InputError, MalformedError
from edgekit.publish.change import delegated_keys
from edgekit.publish.key_names import name_key
from edgekit.publish.periods import period_of, remaining
from edgekit.publish.records import Records

WARN_BELOW = 0.25
"""Of its period: with less left, metadata should be signed anew."""


@dataclass(frozen=True)
class RoleStatus:
    """One role.

    Attributes:
        role: Its name.
        version: In force.
        expires: When it is no longer believed.
        days_left: Until then; negative when it has expired.
        threshold: How many signatures it needs.
        signed: Names of the keys that signed it.
        unsigned: Names of those that may and did not.
        warnings: What needs doing.
    """

    role: str
    version: int
    expires: str
    days_left: float
    threshold: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ModelStatus:
    """One model's current release.

    Attributes:
        name: FAMILY/NAME.
        version: Of the release.
        semver: For people.
        oldest: Lowest version that may still run.
        release_digest: "sha256:<hex>" of the release index.
        signers: Names of the keys whose model signature counts.
    """

    name: str
    version: int
    semver: str
    oldest: int
    release_digest: str
    signers: tuple[str, ...]


@dataclass(frozen=True)
class ChannelStatus:
    """The whole channel.

    Attributes:
        roles: Top roles, then families.
        models: By name.
    """

    roles: tuple[RoleStatus, ...]
    models: tuple[ModelStatus, ...]

    @property
    def expired(self) -> tuple[str, ...]:
        """Roles that no reader believes any more."""
        return tuple(role.role for role in self.roles if role.days_left < 0)


def status_of(records: Records, now: datetime) -> ChannelStatus:
    """Look at what is in force."""
    roles = [_role(records, role, now) for role in (*TOP_ROLES, *records.families)]
    models: list[ModelStatus] = []
    for number, role in enumerate(roles):
        if role.role not in TOP_ROLES:
            found, odd = _models(records, role.role)
            models += found
            roles[number] = dataclasses.replace(role, warnings=role.warnings + odd)
    return ChannelStatus(tuple(roles), tuple(models))


def _role(records: Records, role: str, now: datetime) -> RoleStatus:
    metadata = records.metadata[role]
    delegator = records.root if role in TOP_ROLES else records.targets
    found = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    left = metadata.signed.expires - now
    warnings = []
    if left < period_of(role, metadata.signed) * WARN_BELOW:
        when = remaining(metadata.signed.expires, now)
        word = when if when.startswith("expired") else f"expires in {when}"
        warnings.append(f"{word}: edgekit channel refresh --role {role}")
    if found.threshold == 1 and role in ("root", "targets"):
        warnings.append(f"one stolen key is enough to sign for it: edgekit channel rotate --role {role} --threshold 2")
    return RoleStatus(
        role,
        metadata.signed.version,
        metadata.signed.expires.isoformat(),
        round(left.total_seconds() / 86400, 2),
        found.threshold,
        _names(found.signed),
        _names({keyid: key for keyid, key in delegated_keys(delegator, role).items() if keyid not in found.signed}),
        tuple(warnings),
    )


def _models(records: Records, family: str) -> tuple[list[ModelStatus], tuple[str, ...]]:
    """A family's models; and warnings of what its keys signed besides, which no reader takes."""
    found, warnings = [], []
    targets = records.family(family).targets
    for path, target in sorted(targets.items()):
        name = path.removesuffix(".json")
        if name.endswith(DELTAS) and target_path(name.removesuffix(DELTAS)) in targets:
            continue
        try:
            if path == name or check_model(name).partition("/")[0] != family:
                raise InputError(f"{path[:80]!r} is no model of {family}")
            notice = ReleaseNotice.from_custom(target.custom, where=name)
            signers = tuple(str(key) for key in notice.keys)
        except (InputError, MalformedError) as error:
            warnings.append(f"it signed something that no reader takes: {error}")
            continue
        sha256 = f"sha256:{target.hashes.get('sha256', '')}"
        found.append(ModelStatus(name, notice.version, notice.semver, notice.oldest, sha256, signers))
    return found, tuple(warnings)


def _names(keys: Mapping[str, Key]) -> tuple[str, ...]:
    return tuple(sorted(name_key(key) for key in keys.values()))
