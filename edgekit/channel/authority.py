"""Authority: whose keys stand behind what a channel says, so that one can tell later whether their word still counts.

A thief of a family's keys may offer the highest version number that there is, after which nobody can publish a higher
one. TUF forgets the version numbers of metadata whose keys were replaced (specification 1.0.34, section 5.3.11).
Whoever remembers more than TUF does, such as a node the newest release, forgets it by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.channel.tuf_objects import Metadata, Root, Targets


@dataclass(frozen=True)
class Signatories:
    """The keys of a role.

    Attributes:
        allowed: Ids of those that may sign.
        threshold: How many of them have to.
        signed: Ids of those that did.
    """

    allowed: tuple[str, ...]
    threshold: int
    signed: tuple[str, ...]

    def accept(self, earlier: Signatories) -> bool:
        """Whether what was signed earlier would still be signed by enough keys."""
        return len({*earlier.signed} & {*self.allowed}) >= self.threshold


@dataclass(frozen=True)
class Authority:
    """Who said what is current.

    Attributes:
        family: The keys of the family's metadata, which says it.
        targets: The keys of targets, which says whose keys those are.
        targets_version: Of that metadata.
    """

    family: Signatories
    targets: Signatories
    targets_version: int

    def replaces(self, earlier: Authority) -> bool:
        """Whether the channel's owner has taken the word from those who had it.

        Too few of the family's keys that signed then may sign now; and it is not old metadata of targets that says so,
        shown by a thief of the online key after its replacement has made TUF forget the version of targets too.

        Args:
            earlier: Who said something.
        """
        if self.family.accept(earlier.family):
            return False
        return self.targets_version > earlier.targets_version or not self.targets.accept(earlier.targets)


def read_authority(family: str, files: Mapping[str, bytes]) -> Authority:
    """Who stands behind a family.

    Args:
        family: Its name.
        files: Metadata by file name, verified. A family that has no role of its own speaks with the keys of targets.
    """
    root: Metadata[Root] = Metadata.from_bytes(files["root.json"])
    targets: Metadata[Targets] = Metadata.from_bytes(files["targets.json"])
    top = _signatories(root.signed, Targets.type, targets)
    delegated = targets.signed.delegations.roles if targets.signed.delegations else None
    own = files.get(f"{family}.json")
    if own is None or family not in (delegated or {}):
        return Authority(top, top, targets.signed.version)
    below = _signatories(targets.signed, family, Metadata.from_bytes(own))
    return Authority(below, top, targets.signed.version)


def _signatories(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> Signatories:
    found = delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    signed = tuple(sorted(found.signed))
    return Signatories(tuple(sorted({*found.signed, *found.unsigned})), found.threshold, signed)
