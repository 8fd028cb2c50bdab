"""What a node knows of the log that has to show its releases, for a person or a monitor. Looks only."""

from __future__ import annotations

from edgekit.errors import EdgekitError
from edgekit.node.log_policy import log_memory, policy_of, read_kept
from edgekit.node.opened import Node
from edgekit.node.slots import current_slot
from edgekit.node.status import LogStatus
from edgekit.transparency.policy import Policy
from edgekit.types.release_leaf import ReleaseLeaf


def read_log_status(node: Node) -> LogStatus:
    """Look at a node that has a policy; what cannot be read is told in the result."""
    memory = log_memory(node.folder)
    evidence = tuple(map(str, memory.evidence()))
    heads: dict[str, int] = {}
    try:
        policy = policy_of(node)
        for log in policy.logs:
            if newest := memory.newest(log.key):
                heads[log.key.name] = newest.checkpoint.size
        return LogStatus(heads, policy.quorum, _is_proven(node, policy), evidence, "")
    except EdgekitError as error:
        return LogStatus(heads, "", is_proven=False, evidence=evidence, fault=str(error))


def _is_proven(node: Node, policy: Policy) -> bool:
    slot = current_slot(node.folder)
    if slot is None:
        return False
    deployed = slot.record.deployed
    leaf = ReleaseLeaf(slot.record.target, deployed.version, deployed.semver, deployed.release, deployed.bundle)
    return read_kept(node.folder, policy, deployed.release, leaf.to_bytes()) is not None
