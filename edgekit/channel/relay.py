"""Relay: what a reader of a channel can hand on to others, who then reach it where the channel's own server is gone.

Nobody has to trust it: whoever reads a relay verifies what it shows as they would on any mirror. It has one family's
metadata, the newest of each role, and the roots that lead from the one that its reader was given to the newest.
"""

from __future__ import annotations

from collections.abc import Mapping

from tuf.api.exceptions import RepositoryError

from edgekit.channel.mirror import check_root, read_signed
from edgekit.channel.names import metadata_file
from edgekit.channel.tuf_objects import Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from edgekit.errors import MalformedError, SignatureError

_UNREADABLE = (RepositoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What python-tuf raises where a file that was good has decayed."""


def relayed(files: Mapping[str, bytes], family: str) -> dict[str, bytes]:
    """The metadata of a reader's trust folder under the names that a channel gives it.

    Args:
        files: "timestamp.json" and so on, as `TrustFolder.read_metadata` gives them: verified when they were written.
        family: Whose releases it follows.

    Raises:
        MalformedError: They are incomplete, damaged, or of different states, as between two writes of an update.
    """
    signed = {role: _signed(files, role) for role in ("root", "timestamp", "snapshot", "targets", family)}
    timestamp, snapshot = signed["timestamp"], signed["snapshot"]
    if not isinstance(timestamp, Timestamp) or not isinstance(snapshot, Snapshot):
        raise MalformedError("the metadata here is of other roles than its names say")
    named = {role: meta.version for role in ("targets", family) if (meta := snapshot.meta.get(f"{role}.json"))}
    named["snapshot"] = timestamp.snapshot_meta.version
    for role in ("snapshot", "targets", family):
        if named.get(role) != signed[role].version:
            raise MalformedError(f"the metadata here is of two states: {role} has version {signed[role].version}")
    found = {metadata_file("timestamp"): files["timestamp.json"]}
    for role in ("root", "snapshot", "targets", family):
        found[metadata_file(role, signed[role].version)] = files[f"{role}.json"]
    return found


def root_version(data: bytes) -> int:
    """Version of root metadata that was verified before.

    Raises:
        MalformedError: It has decayed.
    """
    return _signed({"root.json": data}, "root").version


def check_next_root(before: bytes, after: bytes) -> bytes:
    """Root metadata that continues other root metadata: version one higher, signed by the keys of both.

    Raises:
        MalformedError: It is none, or of another version.
        SignatureError: Too few keys of one of them signed it.
    """
    check_root(after, where="the next root")
    known: Metadata[Root] = Metadata.from_bytes(before)
    found: Metadata[Root] = Metadata.from_bytes(after)
    if found.signed.version != known.signed.version + 1:
        raise MalformedError(f"after root {known.signed.version} comes no root {found.signed.version}")
    try:
        known.signed.verify_delegate(Root.type, found.signed_bytes, found.signatures)
    except RepositoryError as error:
        raise SignatureError(f"root {found.signed.version} is not signed by the keys of the one before") from error
    return after


def find_target(files: Mapping[str, bytes], family: str, path: str) -> TargetFile | None:
    """What the family says of a file; None where it has none of that path.

    Args:
        files: As for `relayed`.
        family: Whose.
        path: TUF's path, for example "vision/lite0.json".

    Raises:
        MalformedError: The family's metadata is not there, or damaged.
    """
    signed = _signed(files, family)
    return signed.targets.get(path) if isinstance(signed, Targets) else None


def _signed(files: Mapping[str, bytes], role: str) -> Signed:
    try:
        return read_signed(files[f"{role}.json"])
    except _UNREADABLE as error:
        raise MalformedError(f"the metadata of {role} here cannot be read: {error}") from error
