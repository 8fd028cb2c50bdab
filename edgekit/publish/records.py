"""Records: the metadata of a channel that is in force, verified, as its writer has to know it before adding to it.

A writer signs "what is there, and this too". What is there may have been altered by whoever runs the server, so it is
verified first, as a reader would, except that expired metadata is read too: it can only be renewed by who reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError, UnsignedMetadataError

from edgekit.channel.mirror import LIMITS, check_root
from edgekit.channel.names import ROLE, ReleaseNotice, deltas_path, metadata_file, target_path
from edgekit.channel.tuf_objects import (
    DelegatedRole,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from edgekit.errors import AbsentError, DigestError, InputError, MalformedError, RollbackError, SignatureError
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.strict_json import canonical, read_strict

MOST_ROOTS = 1024
TYPES: Mapping[str, type[Signed]] = {"root": Root, "timestamp": Timestamp, "snapshot": Snapshot, "targets": Targets}
"""Role -> class of its signed part; families are as targets."""


@dataclass(frozen=True)
class Records:
    """A channel's metadata.

    Attributes:
        metadata: Role or family -> its metadata, in force.
        files: The same as bytes, as they were read; what the snapshot and the timestamp name.
    """

    metadata: Mapping[str, Metadata[Any]]
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def root(self) -> Root:
        """Who may sign for the top roles."""
        root: Root = self.metadata["root"].signed
        return root

    @property
    def targets(self) -> Targets:
        """Which families there are, and who may sign for them."""
        targets: Targets = self.metadata["targets"].signed
        return targets

    @property
    def snapshot(self) -> Snapshot:
        """Which versions belong together."""
        snapshot: Snapshot = self.metadata["snapshot"].signed
        return snapshot

    @property
    def families(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(sorted(delegated_roles(self.targets)))

    def family(self, name: str) -> Targets:
        """What a family has signed.

        Raises:
            InputError: There is no such family.
        """
        if name not in self.families:
            known = ", ".join(self.families) or "none yet"
            raise InputError(
                f"the channel has no family '{name}'; it has {known}",
                hint=f"its owner adds it: edgekit channel family {name}=KEY --to CHANNEL --key TARGETSKEY",
            )
        family: Targets = self.metadata[name].signed
        return family

    def deltas(self, name: str) -> TargetFile | None:
        """The delta index of a model's current release; None where there is none.

        Raises:
            InputError: There is no such family.
        """
        return self.family(name.partition("/")[0]).targets.get(deltas_path(name))

    def release(self, name: str) -> tuple[TargetFile, ReleaseNotice] | None:
        """The current release of a model and what is said of it; None where there is none yet.

        Raises:
            InputError: There is no such family.
            MalformedError: What is said of it cannot be read.
        """
        target = self.family(name.partition("/")[0]).targets.get(target_path(name))
        if target is None:
            return None
        return target, ReleaseNotice.from_custom(target.custom, where=f"the channel's {name}")


def delegated_roles(targets: Targets) -> Mapping[str, DelegatedRole]:
    """Family -> its delegation."""
    return (targets.delegations.roles if targets.delegations else None) or {}


def to_bytes(metadata: Metadata[Any]) -> bytes:
    """A metadata file as edgekit writes it: canonical JSON."""
    return canonical(metadata.to_dict())


def parse_metadata(data: bytes, role: str, *, where: str) -> Metadata[Any]:
    """One metadata file; its signatures are not looked at.

    Raises:
        MalformedError: It is no metadata, or of another role.
    """
    read_strict(data, where=where, limit_bytes=LIMITS.targets_max_length)
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        _ = metadata.signed_bytes, canonical(metadata.to_dict())  # TUF's canonical form has no fractions, ours a range
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"{where} is no TUF metadata: {error}") from error
    if not isinstance(metadata.signed, TYPES.get(role, Targets)):
        raise MalformedError(f"{where} is metadata of the role {metadata.signed.type}, not of {role}")
    return metadata


def check_signed(metadata: Metadata[Any], role: str, delegator: Root | Targets, *, where: str) -> None:
    """That enough of the keys signed that `delegator` names for `role`.

    Raises:
        SignatureError: They did not.
        MalformedError: `delegator` does not name the role at all.
    """
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as error:
        raise SignatureError(f"{where}: {error}") from error
    except ValueError as error:
        raise MalformedError(f"{where}: nobody may sign for the role {role}") from error


def has_channel(place: Transport) -> bool:
    """Whether there is a channel; one whose making was interrupted is none: no reader could follow it yet.

    Raises:
        TransportError: It cannot be seen.
    """
    try:
        read_all(place, metadata_file("timestamp"), limit_bytes=LIMITS.timestamp_max_length)
    except AbsentError:
        return False
    return True


def read_records(place: Transport, *, trust: bytes | None = None, resuming: Metadata[Any] | None = None) -> Records:
    """Read and verify what is in force at `place`.

    Args:
        place: The channel.
        trust: Root metadata that the chain of roots must begin with; None takes the channel's first.
        resuming: The root of a change that is put in force. If it is there already, and what follows from it is not,
            the writer was interrupted: what was in force before it is read. Nobody else may read that, since the keys
            that signed it are perhaps those that the new root takes away.

    Raises:
        InputError: There is no channel.
        TrustError: Its metadata is not what its own keys signed.
        TransportError: It cannot be read.
    """
    roots = _read_roots(place, trust)
    try:
        return _read_below(place, roots[-1])
    except (SignatureError, AbsentError) as error:
        if resuming and len(roots) > 1:
            newest = parse_metadata(roots[-1], "root", where="the newest root")
            if newest.signed_bytes == resuming.signed_bytes:
                return _read_below(place, roots[-2])
        told = f"the channel is not complete: {error}"
        if isinstance(error, AbsentError):
            raise MalformedError(told, hint="restore metadata/ from a copy") from error
        raise SignatureError(
            told,
            hint="a change of the root was interrupted: apply its request again; or else restore metadata/ from a copy",
        ) from error


def _read_roots(place: Transport, trust: bytes | None) -> list[bytes]:
    """The chain of roots, oldest first."""
    first = trust
    if first is None:
        try:
            first = read_all(place, metadata_file("root", 1), limit_bytes=LIMITS.root_max_length)
        except AbsentError as error:
            raise InputError(
                f"there is no channel at {place.url}", hint="make one with: edgekit channel init"
            ) from error
    roots = [check_root(first, where="1.root.json" if trust is None else "the root metadata to trust")]
    current = parse_metadata(first, "root", where="the first root")
    while len(roots) < MOST_ROOTS:
        name = metadata_file("root", current.signed.version + 1)
        try:
            data = read_all(place, name, limit_bytes=LIMITS.root_max_length)
        except AbsentError:
            return roots
        newer = parse_metadata(check_root(data, where=name), "root", where=name)
        check_signed(newer, "root", current.signed, where=name)
        if newer.signed.version != current.signed.version + 1:
            raise RollbackError(f"{name} has version {newer.signed.version}")
        roots.append(data)
        current = newer
    raise MalformedError(f"{place.url} has more than {MOST_ROOTS} roots")


def _read_below(place: Transport, root_bytes: bytes) -> Records:
    """Timestamp, snapshot, targets and families under one root."""
    files = {"root": root_bytes}
    metadata = {"root": parse_metadata(root_bytes, "root", where="root")}
    root: Root = metadata["root"].signed

    def read(role: str, delegator: Root | Targets, meta: MetaFile | None, limit_bytes: int) -> Any:
        name = metadata_file(role, meta.version if meta else None)
        data = read_all(place, name, limit_bytes=limit_bytes)
        read_metadata = parse_metadata(data, role, where=name)
        check_signed(read_metadata, role, delegator, where=name)
        if meta:
            _check_meta(meta, data, read_metadata.signed, name)
        files[role], metadata[role] = data, read_metadata
        return read_metadata.signed

    timestamp: Timestamp = read("timestamp", root, None, LIMITS.timestamp_max_length)
    snapshot: Snapshot = read("snapshot", root, timestamp.snapshot_meta, LIMITS.snapshot_max_length)
    targets: Targets = read("targets", root, _listed(snapshot, "targets"), LIMITS.targets_max_length)
    for family in delegated_roles(targets):
        if not ROLE.fullmatch(family):
            raise MalformedError(f"a family has a name that no file can have: {family[:80]!r}")
        read(family, targets, _listed(snapshot, family), LIMITS.targets_max_length)
    return Records(metadata, files)


def _listed(snapshot: Snapshot, role: str) -> MetaFile:
    meta = snapshot.meta.get(f"{role}.json")
    if meta is None:
        raise MalformedError(f"the snapshot lists no {role}.json")
    return meta


def _check_meta(meta: MetaFile, data: bytes, signed: Signed, name: str) -> None:
    try:
        meta.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise DigestError(f"{name}: {error}") from error
    if signed.version != meta.version:
        raise RollbackError(f"{name} has version {signed.version}")
