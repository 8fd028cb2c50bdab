"""Update: the story of a node. What the channel calls current is chosen, fetched, verified, tried out, and runs.

    follow the channel -> ask the log -> choose a variant -> fetch what is missing into slots/next -> verify
    -> self-test -> slots/next becomes the spare slot -> the link `current` points to it -> a signed receipt

Until the link is renamed, what ran before runs; the slot that it is in is never written to. Cut off anywhere, the next
run goes on where this one stopped. A release that fails its self-test is quarantined, and what ran before runs on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from edgekit.channel.client import Followed, follow
from edgekit.errors import EdgekitError
from edgekit.node.installing import Installation
from edgekit.node.opened import Node
from edgekit.node.quarantine import forget
from edgekit.node.rollback import nothing_runs, settle
from edgekit.node.slots import Slot, current_slot
from edgekit.node.sourcing import opened_sources
from edgekit.transport.opening import opened
from edgekit.transport.transport import Transport
from edgekit.types.receipt import Deployed


class Outcome(Enum):
    """How an update ended."""

    UNCHANGED = "unchanged"
    INSTALLED = "installed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Updated:
    """An update that ended well.

    Attributes:
        outcome: UNCHANGED: what is current runs already. INSTALLED: it runs now. QUARANTINED: it failed here earlier,
            and what ran before runs on.
        target: FAMILY/NAME.
        running: What runs.
        offered: Version that the channel offers.
        faults: URL of a mirror -> what was wrong with it.
        fetched_bytes: Of the files and deltas that were fetched for it; 0 where nothing was.
    """

    outcome: Outcome
    target: str
    running: Deployed
    offered: int
    faults: Mapping[str, str]
    fetched_bytes: int = 0


def update(node: Node, *, retry: bool = False) -> Updated:
    """Bring a node to what its channel calls current.

    Args:
        node: Opened.
        retry: Try what failed here once more, and choose the variant anew.

    Raises:
        TrustError: The channel, or the release, is not what its keys say; nothing was installed.
        TransportError: No mirror could be read.
        NoVariantError: Nothing in the release fits this machine.
        SelfTestError: The release fails here; what ran before runs on.
        NodeStateError: Nothing that is installed may run, and the release failed here earlier.
        StorageError: The system refuses to write.
        KeyFileError: The node's key cannot be opened.
    """
    if retry:
        forget(node.world.disk, node.folder)
    settle(node)
    try:
        with opened(node.settings.channels) as mirrors:
            return _bring_up(node, mirrors, retry=retry)
    except EdgekitError:
        settle(node)  # what runs may have been revoked by what was just learned
        raise


def _bring_up(node: Node, mirrors: Sequence[Transport], *, retry: bool) -> Updated:
    followed = follow(node.settings.model, mirrors, node.folder.trust, root=node.root(), clock=node.world.clock)
    node.learn(followed)
    followed = _ask_log(node, followed, mirrors)
    running = current_slot(node.folder)
    if running and not retry and _is_current(running, followed):
        return _ended(Outcome.UNCHANGED, followed, running, {})
    held = node.quarantined(followed.release_digest)
    if held and held.exhausted:
        return _stay(node, followed, {})
    with opened_sources(node) as sources:
        installation = Installation(node, followed, mirrors, sources)
        slot = installation.run()
    if slot is None:
        return _stay(node, followed, installation.faults)
    outcome = Outcome.INSTALLED if installation.has_switched else Outcome.UNCHANGED
    return _ended(outcome, followed, slot, installation.faults, installation.fetched_bytes)


def _ask_log(node: Node, followed: Followed, mirrors: Sequence[Transport]) -> Followed:
    """What the channel says, once the log of the node's policy shows it too; with the faults of copies of the log.

    Raises:
        EdgekitError: As `edgekit.node.transparency.LogWatch`; nothing was fetched.
    """
    if node.settings.transparency is None:
        return followed
    from edgekit.node.transparency import log_watch  # most nodes have no policy, and need not load what reads one

    with log_watch(node, mirrors) as watch:
        faults = watch.look()
        watch.prove(followed)
    if node.settings.transparency.cosign:
        from edgekit.node.witnessing import cosign_newest

        cosign_newest(node)
    return replace(followed, faults=_told_of_both(followed.faults, faults))


def _is_current(running: Slot, followed: Followed) -> bool:
    """Whether a slot holds what the channel offers, signed by a key that still counts."""
    deployed = running.record.deployed
    signers = {key.fingerprint for key in followed.notice.keys}
    return deployed.release == followed.release_digest and deployed.signer in signers


def _stay(node: Node, followed: Followed, faults: Mapping[str, str]) -> Updated:
    """The end where a release failed here earlier: what runs runs on, if what was just learned allows it.

    Raises:
        NodeStateError: It does not.
    """
    running = settle(node)
    if running is None:
        raise nothing_runs(node)
    return _ended(Outcome.QUARANTINED, followed, running, faults)


def _ended(
    outcome: Outcome, followed: Followed, running: Slot, faults: Mapping[str, str], fetched_bytes: int = 0
) -> Updated:
    return Updated(
        outcome,
        followed.target,
        running.record.deployed,
        followed.notice.version,
        _told_of_both(followed.faults, faults),
        fetched_bytes,
    )


def _told_of_both(earlier: Mapping[str, str], later: Mapping[str, str]) -> Mapping[str, str]:
    """Faults by URL. Of a mirror that has two both are told: a log that is stale is more than a file that is absent."""
    faults = dict(earlier)
    for url, fault in later.items():
        faults[url] = f"{faults[url]}; {fault}" if url in faults else fault
    return faults
