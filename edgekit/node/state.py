"""State of a node: what it learned from the channel last. A file that may be lost: slots and receipts know enough.

What it must not forget, the oldest version that may still run and the newest that was offered, stands in every slot
too, and is taken from there when `state.json` is damaged. Both are forgotten with the keys that said so, when the
channel's owner replaces those (`edgekit.channel.authority`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.channel.authority import Authority
from edgekit.channel.client import Followed
from edgekit.errors import MalformedError, RollbackError
from edgekit.node.disk import Disk
from edgekit.node.record import read_record, save_record
from edgekit.node.slots import Slot

SCHEMA = "edgekit.node-state/1"


@dataclass(frozen=True)
class Offer:
    """What the channel offered.

    Attributes:
        version: The bundle's version number.
        semver: The same for people.
        release: sha256 of the release index.
    """

    version: int
    semver: str
    release: str


@dataclass(frozen=True)
class NodeState:
    """What the node knew last.

    Attributes:
        target: FAMILY/NAME.
        oldest: Lowest version that may run.
        newest: Highest version that was offered.
        authority: Whose keys said so, without whom neither falls; None before the first answer.
        offer: What the channel said last; None before the first answer, or where the file was lost.
        versions: Role -> version of the channel's metadata.
        expires: When that metadata runs out, ISO 8601; "" where not known.
        checked: When it was read, ISO 8601; "" where not known.
        schema: Always SCHEMA.
    """

    target: str
    oldest: int = 0
    newest: int = 0
    authority: Authority | None = None
    offer: Offer | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
    expires: str = ""
    checked: str = ""
    schema: str = SCHEMA


def read_state(path: Path, target: str, slots: Sequence[Slot]) -> tuple[NodeState, str]:
    """The state, and why it had to be put together from the slots; "" where its file is well.

    Args:
        path: Of `state.json`.
        target: The node's model; a state of another one counts as lost.
        slots: Those whose record can be read.
    """
    state, fault = NodeState(target), ""
    try:
        found = read_record(NodeState, path)
        if found is None:
            fault = "it is missing" if slots else ""
        elif found.target != target or found.schema != SCHEMA:
            fault = f"it is of {found.target} ({found.schema})"
        else:
            state = found
    except MalformedError as error:
        fault = str(error)
    own = [slot.record for slot in slots if slot.record.target == target]
    if fault and own:
        newest = max(own, key=lambda record: record.deployed.version)
        oldest = max(record.oldest for record in own)
        state = replace(state, oldest=oldest, newest=newest.deployed.version, authority=newest.authority)
    return state, fault


def learned(state: NodeState, followed: Followed, *, checked: str) -> NodeState:
    """What a node knows after it has asked its channel.

    Args:
        state: What it knew.
        followed: The answer.
        checked: The time.

    Raises:
        RollbackError: The version is lower than one that was offered before, by keys whose word still counts.
    """
    notice = followed.notice
    if state.authority is not None and followed.authority.replaces(state.authority):
        state = replace(state, oldest=0, newest=0)
    if notice.version < state.newest:
        raise RollbackError(
            f"the channel offers {followed.target} version {notice.version}, after version {state.newest}",
            hint="its publisher has to publish it under a higher version; after a theft of keys, its owner has to "
            "replace the family's",
        )
    return replace(
        state,
        oldest=max(state.oldest, notice.oldest),
        newest=notice.version,
        authority=followed.authority,
        offer=Offer(notice.version, notice.semver, followed.release_digest),
        versions=dict(followed.versions),
        expires=followed.expires.isoformat(),
        checked=checked,
    )


def save_state(disk: Disk, path: Path, state: NodeState) -> None:
    """Write `state.json`.

    Raises:
        StorageError: The system refuses.
    """
    save_record(disk, path, state)
