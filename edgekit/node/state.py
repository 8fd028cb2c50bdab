"""State of a node: what it learned from the channel last. A file that may be lost: slots and receipts know enough.

What it must never forget, the oldest version that may still run and the newest that was ever offered, stands in every
slot too, and is taken from there when `state.json` is damaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit.errors import MalformedError
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
        oldest: Lowest version that may run; never falls.
        newest: Highest version that was ever offered; never falls.
        offer: What the channel said last; None before the first answer, or where the file was lost.
        versions: Role -> version of the channel's metadata.
        expires: When that metadata runs out, ISO 8601; "" where not known.
        checked: When it was read, ISO 8601; "" where not known.
        schema: Always SCHEMA.
    """

    target: str
    oldest: int = 0
    newest: int = 0
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
    return replace(
        state,
        oldest=max([state.oldest, *(record.oldest for record in own)]),
        newest=max([state.newest, *(record.deployed.version for record in own)]),
    ), fault


def save_state(disk: Disk, path: Path, state: NodeState) -> None:
    """Write `state.json`.

    Raises:
        StorageError: The system refuses.
    """
    save_record(disk, path, state)
