"""Witnessing: a node signs that the newest head of a log is the largest it has seen, and that the log only grew.

The cosignature (C2SP tlog-cosignature) is by the node's own key, and its name is the node's did:key. What was signed
lies in `trust/cosigned`, for whoever collects it: the log's owner, or others by way of `node seed`.
"""

from __future__ import annotations

from pathlib import Path

from edgekit import digest
from edgekit.errors import InputError, MalformedError
from edgekit.node.disk import make_folders, save
from edgekit.node.folder import NodeFolder
from edgekit.node.log_policy import log_memory, policy_of
from edgekit.node.opened import Node
from edgekit.transparency.note import LARGEST_NOTE_BYTES, VerifierKey, read_note
from edgekit.transparency.witness import Witness

COSIGNED = "cosigned"


def node_witness(node: Node) -> Witness:
    """A node as a witness of its policy's logs; it shares the node's memory of them.

    Raises:
        KeyFileError: Its key cannot be opened.
        InputError: It has no policy that can be read.
        NodeStateError: As `policy_of`.
        DigestError: As `policy_of`.
    """
    policy = policy_of(node)
    logs = [log.key for log in policy.logs]
    return Witness(
        log_memory(node.folder), node.public_key.did, node.key, logs, clock=lambda: node.world.clock().timestamp()
    )


def cosign_newest(node: Node) -> None:
    """Cosign the newest head of each log that is remembered, unless that was done.

    A key that cannot be opened is told, and keeps no release from being installed: this is done for others.

    Raises:
        MalformedError: What is remembered of a log is damaged.
        StorageError: The system refuses.
    """
    memory = log_memory(node.folder)
    for log in policy_of(node).logs:
        newest = memory.newest(log.key)
        if newest is None or _text(cosigned_file(node.folder, log.key)) == read_note(newest.note).text:
            continue
        try:
            note = node_witness(node).cosign(newest.note)
        except InputError as error:
            node.world.tell(f"the head of {log.key.name} is not cosigned: {error}")
            return
        path = cosigned_file(node.folder, log.key)
        make_folders(node.world.disk, path.parent, below=node.folder.path)
        save(node.world.disk, path, note)


def cosigned_head(node: Node, note: bytes) -> bytes:
    """The head of a log, with the node's cosignature where it has cosigned just that one."""
    for log in policy_of(node).logs:
        path = cosigned_file(node.folder, log.key)
        if _text(path) == read_note(note).text:
            return path.read_bytes()
    return note


def cosigned_file(folder: NodeFolder, log: VerifierKey) -> Path:
    """Where the newest head of a log lies that the node cosigned."""
    return folder.trust / COSIGNED / f"{digest.of_bytes(log.name.encode())}.checkpoint"


def _text(path: Path) -> str:
    """What was signed in a file; "" where there is none that can be read."""
    try:
        with path.open("rb") as stream:
            return read_note(stream.read(LARGEST_NOTE_BYTES + 1)).text
    except (OSError, MalformedError):
        return ""
