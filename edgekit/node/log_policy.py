"""The policy of a node: which logs have to show its releases; and what it remembers of them.

policy.txt                                 logs and witnesses, as the owner gave them (c2sp.org/tlog-policy)
trust/proofs/<release>.tlog-proof          that a log shows a release that is installed, or about to be
trust/log/                                 the newest head of each log, and evidence against one that forked
"""

from __future__ import annotations

from pathlib import Path

from edgekit import digest
from edgekit.channel.names import proof_file
from edgekit.errors import DigestError, InputError, NodeStateError, TrustError
from edgekit.node.folder import NodeFolder
from edgekit.node.opened import Node
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.policy import LARGEST_POLICY_BYTES, Policy, read_policy
from edgekit.transparency.proof import LARGEST_PROOF_BYTES, Proven, check_proof


def check_policy(data: bytes) -> Policy:
    """A policy that somebody hands over.

    Raises:
        InputError: It cannot be read, or names no log.
    """
    hint = "a line `log VKEY`, lines `witness NAME VKEY`, and `quorum NAME|none`: c2sp.org/tlog-policy"
    policy = read_policy(data)
    if not policy.logs:
        raise InputError("the policy names no log", hint=hint)
    return policy


def policy_of(node: Node) -> Policy:
    """The policy in a node's folder.

    Raises:
        NodeStateError: It cannot be read.
        DigestError: It is not the one that the node was told to use.
        InputError: It is none, or the node was told to use none.
    """
    settings = node.settings.transparency
    if settings is None:
        raise InputError(f"{node.folder.path} has no policy", hint="edgekit node init --policy FILE gives it one")
    path = node.folder.path / settings.policy
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_POLICY_BYTES + 1)
    except OSError as error:
        raise NodeStateError(
            f"{path} cannot be read: {error.strerror}", hint="put the policy there again; nothing is installed without"
        ) from error
    found = digest.of_bytes(data)
    if settings.policy_sha256 and found != settings.policy_sha256:
        raise DigestError(
            f"{path} is not the policy that this node was told to use: its sha256 is {found}",
            hint=f"put the right one there again; if you changed it, write that sha256 as policy_sha256 into "
            f"{node.folder.settings}",
        )
    return check_policy(data)


def kept_proof(folder: NodeFolder, release: str) -> Path:
    """Where a node keeps the proof of a release, once it was verified."""
    return folder.trust / proof_file(release)


def read_kept(folder: NodeFolder, policy: Policy, release: str, leaf: bytes) -> Proven | None:
    """The proof of a release that an earlier update kept; None where there is none that satisfies the policy now."""
    try:
        with kept_proof(folder, release).open("rb") as stream:
            return check_proof(stream.read(LARGEST_PROOF_BYTES + 1), leaf, policy)
    except (OSError, TrustError):
        return None


def log_memory(folder: NodeFolder) -> CheckpointMemory:
    """What a node remembers of logs."""
    return CheckpointMemory(folder.trust / "log")
