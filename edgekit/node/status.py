"""Status: what a node is, knows and runs, for a person or a monitor. Looks only, and may look while the node works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edgekit.node.opened import Node, integrity
from edgekit.node.quarantine import Quarantined, list_quarantined
from edgekit.node.slots import NAMES, current_name, read_slot
from edgekit.node.state import Offer
from edgekit.types.capabilities import Capabilities
from edgekit.types.receipt import Deployed, Event, Receipt, Trial


@dataclass(frozen=True)
class SlotStatus:
    """One slot.

    Attributes:
        name: "a" or "b".
        is_current: The link points to it.
        deployed: What it holds; None where it holds nothing that can be told.
        tested: Its self-test when it was installed.
        fault: Why it may not run; "" where nothing speaks against it.
    """

    name: str
    is_current: bool
    deployed: Deployed | None
    tested: Trial | None
    fault: str


@dataclass(frozen=True)
class ChannelStatus:
    """What the channel said last.

    Attributes:
        urls: Its mirrors.
        versions: Role -> version of its metadata.
        expires: When that runs out, ISO 8601; "" where it was never read.
        is_expired: That moment has passed.
        checked: When it was read, ISO 8601; "" where it never was.
        oldest: Lowest version that may run.
        offer: What it offered; None where that is not known.
    """

    urls: tuple[str, ...]
    versions: Mapping[str, int]
    expires: str
    is_expired: bool
    checked: str
    oldest: int
    offer: Offer | None


@dataclass(frozen=True)
class LogStatus:
    """What the node knows of the log that has to show its releases.

    Attributes:
        heads: Name of a log -> entries of the newest head that was verified; absent where none was.
        quorum: Who besides the log has to have signed, in the words of the policy; "" where that cannot be read.
        is_proven: What runs, or would run, was shown by the log.
        evidence: Files with two heads of a log that cannot both be true.
        fault: Why nothing is installed before somebody has looked; "" where nothing stands in the way.
    """

    heads: Mapping[str, int]
    quorum: str
    is_proven: bool
    evidence: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class Status:
    """A node.

    Attributes:
        did: Its name.
        model: FAMILY/NAME that it is for.
        machine: What it runs on.
        channel: What it follows.
        running: What may be used; None where nothing may.
        slots: Both.
        quarantine: Releases that failed on this machine, and are not tried now.
        receipts: How many there are.
        last_receipt: The last that can be read; None where there is none.
        faults: What is wrong with its state and its receipts; empty where nothing is.
        log: What a log has shown; None where it has no policy.
        download_bytes_per_s: What it receives at most; 0 for no limit.
    """

    did: str
    model: str
    machine: Capabilities
    channel: ChannelStatus
    running: Deployed | None
    slots: tuple[SlotStatus, ...]
    quarantine: tuple[Quarantined, ...]
    receipts: int
    last_receipt: Receipt | None
    faults: tuple[str, ...]
    log: LogStatus | None = None
    download_bytes_per_s: int = 0


def read_status(node: Node, *, thorough: bool = False) -> Status:
    """Look at a node.

    Args:
        node: As `look_at` gives it.
        thorough: Hash every file of both slots, and verify every receipt.

    Raises:
        KeyFileError: Its public key cannot be read.
    """
    slots = tuple(_slot(node, name, thorough=thorough) for name in NAMES)
    running = next((slot.deployed for slot in slots if slot.is_current and not slot.fault), None)
    now = node.world.clock()
    faults = [f"state.json: {node.fault}"] if node.fault else []
    if thorough and (fault := node.book.fault()):
        faults.append(f"receipts: {fault}")
    return Status(
        did=node.public_key.did,
        model=node.settings.model,
        machine=node.machine,
        channel=_channel(node),
        running=running,
        slots=slots,
        quarantine=tuple(entry for entry in list_quarantined(node.folder) if entry.holds(node.machine, now)),
        receipts=len(node.book.files()),
        last_receipt=node.book.last(*Event),
        faults=tuple(faults),
        log=_log(node),
        download_bytes_per_s=node.settings.download_bytes_per_s,
    )


def _log(node: Node) -> LogStatus | None:
    if node.settings.transparency is None:
        return None
    from edgekit.node.log_status import read_log_status  # most nodes have no policy

    return read_log_status(node)


def _slot(node: Node, name: str, *, thorough: bool) -> SlotStatus:
    slot, is_current = read_slot(node.folder.slots / name), current_name(node.folder) == name
    if slot is None:
        is_there = (node.folder.slots / name).is_dir()
        return SlotStatus(name, is_current, None, None, "it holds nothing that can be told" if is_there else "")
    fault = node.objection(slot) or (integrity(slot) if thorough else "")
    return SlotStatus(name, is_current, slot.record.deployed, slot.record.tested, fault)


def _channel(node: Node) -> ChannelStatus:
    state = node.state
    return ChannelStatus(
        urls=node.settings.channels,
        versions=state.versions,
        expires=state.expires,
        is_expired=_is_past(state.expires, node.world.clock()),
        checked=state.checked,
        oldest=state.oldest,
        offer=state.offer,
    )


def _is_past(moment: str, now: datetime) -> bool:
    try:
        return bool(moment) and datetime.fromisoformat(moment) <= now
    except (ValueError, TypeError):
        return False
