"""Rollback: what runs is sound and allowed, or the other slot runs, or nothing does.

The other slot runs only if it is intact, passes its self-test now, and is of a version that the channel still allows:
never below what its signed metadata calls the oldest.
"""

from __future__ import annotations

import os

from edgekit.errors import NodeStateError, SelfTestError
from edgekit.node.opened import Node, integrity
from edgekit.node.slots import Slot, current_slot, read_slots, switch, withdraw
from edgekit.types.receipt import Trial


def settle(node: Node, *, thorough: bool = False) -> Slot | None:
    """Let the best release run that may: the one that does, else one from the other slot.

    Args:
        node: Opened.
        thorough: Hash the release that runs; else a damage shows only if a file is missing or of another size.

    Returns:
        The slot that runs; None where none may, and none does.

    Raises:
        StorageError: The system refuses.
        KeyFileError: The node's key cannot be opened, and a receipt was to be signed.
    """
    running = current_slot(node.folder)
    reason = _fault(node, running, thorough=thorough) if running else "its slot cannot be read"
    if running and not reason:
        node.attest(running)
        return running
    was_linked = os.path.lexists(node.folder.current)
    if was_linked:
        node.world.tell(f"what runs may not run on: {reason}")
    others = [slot for slot in read_slots(node.folder) if running is None or slot.folder != running.folder]
    for slot in sorted(others, key=lambda slot: slot.record.deployed.version, reverse=True):
        tested = _try_out(node, slot)
        if tested:
            switch(node.world.disk, node.folder, slot)
            node.world.tell(f"{_title(slot)} runs, from slot {slot.folder.name}")
            node.attest(slot, tested=tested, reason=reason if was_linked else "it was found whole in its slot")
            return slot
    if was_linked:
        withdraw(node.world.disk, node.folder)
        node.world.tell("nothing runs")
    node.attest(None, reason=reason)
    return None


def check_health(node: Node) -> tuple[Slot, Trial]:
    """Try the release that runs out, and go back to the other slot where it fails.

    Raises:
        NodeStateError: Nothing may run, and nothing does.
        StorageError: The system refuses.
        KeyFileError: The node's key cannot be opened, and a receipt was to be signed.
    """
    running = current_slot(node.folder)
    if running is None:
        raise nothing_runs(node)
    try:
        return running, _test(node, running)
    except SelfTestError as error:
        node.world.tell(f"{_title(running)} fails its self-test: {error}")
        try:
            node.refuse(running.record.deployed, error)
        finally:
            other = settle(node)
    if other is None:
        raise nothing_runs(node)
    return other, other.record.tested


def serving(node: Node) -> Slot:
    """The slot that may be used now, every file hashed.

    Raises:
        NodeStateError: There is none; says why.
    """
    running = current_slot(node.folder)
    if running is None:
        raise nothing_runs(node)
    reason = _fault(node, running, thorough=True)
    if reason:
        raise NodeStateError(f"{_title(running)} must not run: {reason}", hint=_HINT)
    return running


def nothing_runs(node: Node) -> NodeStateError:
    """The error of a node that has no release to run; says of each slot why."""
    told = [
        f"slot {slot.folder.name}, {_title(slot)}: {_fault(node, slot, thorough=True) or _UNTRIED}"
        for slot in read_slots(node.folder)
    ]
    why = "; ".join(told) if told else "nothing was installed yet"
    return NodeStateError(f"{node.folder.path} has no release that may run: {why}", hint=_HINT)


_UNTRIED = "whole, and not tried out yet"
_HINT = "edgekit node run-once DIR updates it, or says what stands in the way"


def _fault(node: Node, slot: Slot, *, thorough: bool) -> str:
    return node.objection(slot) or (integrity(slot) if thorough else "")


def _try_out(node: Node, slot: Slot) -> Trial | None:
    """The self-test of a slot that does not run; None where it may not, or fails."""
    reason = _fault(node, slot, thorough=True)
    if not reason:
        try:
            return _test(node, slot)
        except SelfTestError as error:
            reason = str(error)
            node.refuse(slot.record.deployed, error)
    node.world.tell(f"{_title(slot)} in slot {slot.folder.name} cannot run: {reason}")
    return None


def _test(node: Node, slot: Slot) -> Trial:
    return node.world.self_test(slot.files, slot.variant(), timeout_s=node.settings.self_test_s)


def _title(slot: Slot) -> str:
    return f"{slot.record.target} {slot.record.deployed.semver} (version {slot.record.deployed.version})"
