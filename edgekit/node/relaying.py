"""Relaying: the named files of the channel that a node hands on: metadata, the release index, proofs, and the log.

Everything here was verified before it was written into the node's folder. It is handed on as it lies there; whoever
reads it verifies it again.
"""

from __future__ import annotations

from pathlib import Path

from edgekit import digest
from edgekit.channel.names import deltas_file, deltas_path, proof_file, target_file, target_path
from edgekit.channel.relay import find_target, relayed, root_version
from edgekit.channel.trust import TrustFolder
from edgekit.errors import EdgekitError
from edgekit.node.keeping import Share
from edgekit.node.opened import Node


def relayed_files(node: Node, share: Share) -> dict[str, bytes]:
    """Name below the channel's URL -> content.

    Raises:
        MalformedError: What the node knows of the channel is incomplete, or of two states, as between two writes.
    """
    trust, model = TrustFolder(node.folder.trust), node.settings.model
    family = model.partition("/")[0]
    files = trust.read_metadata()
    found = {**_roots(node, share, root_version(files.get("root.json", b""))), **relayed(files, family)}
    for target, file_of in ((target_path(model), target_file), (deltas_path(model), deltas_file)):
        info = find_target(files, family, target)
        sha256 = info.hashes.get("sha256", "") if info else ""
        data = trust.read_index(sha256) or _document(share, sha256)
        if data:
            found[file_of(model, sha256)] = data
    for path in sorted((node.folder.trust / "proofs").glob("*.tlog-proof")):
        if data := _read(path):
            found[proof_file(path.stem)] = data
    return {**found, **_log(node, share)}


def _roots(node: Node, share: Share, newest: int) -> dict[str, bytes]:
    """The node's own root, and those that lead from it to the newest."""
    own = node.root()
    found = {f"metadata/{root_version(own)}.root.json": own}
    for version in range(root_version(own) + 1, newest):
        if data := _read(share.roots / f"{version}.root.json"):
            found[f"metadata/{version}.root.json"] = data
    return found


def _log(node: Node, share: Share) -> dict[str, bytes]:
    """The copy of the log, its head with the node's cosignature where there is one."""
    if node.settings.transparency is None:
        return {}
    from edgekit.node.log_copy import copied_files
    from edgekit.node.witnessing import cosigned_head

    try:
        found = copied_files(share)
        head = found.get("log/checkpoint")
        return {**found, "log/checkpoint": cosigned_head(node, head)} if head else found
    except (EdgekitError, OSError):  # without its log the channel is still worth handing on
        return {}


def _document(share: Share, sha256: str) -> bytes | None:
    """A document that is kept, where it is still the same."""
    data = _read(share.place(sha256)) if sha256 in share.kept else None
    return data if data is not None and digest.of_bytes(data) == sha256 else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
