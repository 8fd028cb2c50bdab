"""One round of an unattended node: what runs is hashed, the channel is asked, what runs then is tried out."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import EdgekitError
from edgekit.node.opened import Node
from edgekit.node.rollback import check_health, nothing_runs, settle
from edgekit.node.slots import current_slot, read_slots
from edgekit.node.update import Outcome, Updated, update
from edgekit.types.receipt import Deployed, Trial


@dataclass(frozen=True)
class Round:
    """A round after which a release runs that is whole and passes its self-test.

    Attributes:
        running: Which.
        tested: Its self-test, of just now.
        updated: How the update ended; None where it failed.
        error: Why it failed; None where it did not.
    """

    running: Deployed
    tested: Trial
    updated: Updated | None
    error: EdgekitError | None


def run_once(node: Node) -> Round:
    """Update, check what runs, and go back to the other slot where it is not well.

    An update that fails does not keep the rest from being done: it is told in the result.

    Raises:
        NodeStateError: Nothing may run, and nothing does.
        EdgekitError: Nothing was ever installed, and the update failed; as `edgekit.node.update.update`.
    """
    settle(node, thorough=True)
    updated, error = None, None
    try:
        updated = update(node)
    except EdgekitError as failure:
        error = failure
    running = current_slot(node.folder)
    if error and running is None:
        if not read_slots(node.folder):
            raise error
        raise nothing_runs(node) from error
    if updated and updated.outcome is Outcome.INSTALLED and running:
        return Round(updated.running, running.record.tested, updated, None)  # it was tried out a moment ago
    slot, tested = check_health(node)
    return Round(slot.record.deployed, tested, updated, error)
