"""Following a channel: which release of a model is current, and whose signature on it counts.

The one function `follow` asks every mirror, believes none, and takes the newest state that the channel's keys signed.
What was verified is remembered in a folder, so that nobody can show an older state later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgekit import digest
from edgekit.channel.authority import Authority, read_authority
from edgekit.channel.mirror import Answer, ask_mirror, check_root, read_signed
from edgekit.channel.names import ReleaseNotice, check_model, deltas_file, target_file
from edgekit.channel.trust import TrustFolder
from edgekit.channel.tuf_objects import TargetFile
from edgekit.errors import (
    DigestError,
    EdgekitError,
    InputError,
    LengthError,
    MalformedError,
    SourcesError,
    TransportError,
    TrustError,
    UnknownTargetError,
)
from edgekit.transport.asking import ask_all, told
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.blob import Blob, check_sha256

LARGEST_INDEX_BYTES = 256 * 1024
"""Of a release index, and of a delta index."""
PATIENCE_S = 5.0
"""How long the other mirrors are waited for once one has answered well."""
LONGEST_S = 120.0
"""How long the first good answer is waited for."""


@dataclass(frozen=True)
class Followed:
    """What is current.

    Attributes:
        target: The model, FAMILY/NAME.
        index: The release index: the bytes of the bundle's `index.json`.
        release_digest: sha256 of `index`, lower-case hex.
        notice: Version, revocation floor and signers.
        versions: Role -> version of its metadata.
        expires: When the first of them expires.
        authority: Whose keys say so.
        faults: URL of a mirror -> what was wrong with it.
        deltas: The delta index of the release, see `fetch_deltas`; None where there is none that could be read.
    """

    target: str
    index: bytes
    release_digest: str
    notice: ReleaseNotice
    versions: Mapping[str, int]
    expires: datetime
    authority: Authority
    faults: Mapping[str, str]
    deltas: Blob | None = None


def utc_now() -> datetime:
    """What this machine's clock says."""
    return datetime.now(UTC)


def follow(
    target: str,
    mirrors: Sequence[Transport],
    trust_dir: Path,
    *,
    root: bytes | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Followed:
    """Find the current release of a model.

    Args:
        target: The model, FAMILY/NAME.
        mirrors: Copies of the channel; none is trusted. One that lies or is stale is passed over and named.
        trust_dir: What is remembered between calls; one folder per channel, used by one process at a time.
        root: The channel's root metadata, trusted by whoever hands it over. Used where `trust_dir` has none yet; None
            where it must have one.
        clock: The time, aware of its zone.

    Raises:
        InputError: `target` is no name of a model, or there is no mirror.
        ClockError: The clock went back since the last call.
        UnknownTargetError: The channel has no such model.
        TrustError: No mirror shows a state that can be trusted; of its kinds, the one that `edgekit.errors` names.
        TransportError: No mirror can be read.
        StorageError: `trust_dir` cannot be written to.
    """
    check_model(target)
    if not mirrors:
        raise InputError("a channel is followed on one mirror at least", hint="give its folder or URL")
    trust, now = TrustFolder(trust_dir), clock()
    trust.check_clock(now)
    known = _known(trust, root)
    answers = _answers(mirrors, lambda mirror: ask_mirror(mirror, target, known, now), known)
    newest = max(answers, key=lambda answer: answer.root_version)
    faults = {answer.mirror.url: told(answer.fault, answer.mirror) for answer in answers if answer.fault}
    good = [answer for answer in answers if not answer.fault and answer.root_version == newest.root_version]
    if not good:
        trust.write_metadata({"root.json": newest.files["root.json"]})  # a key that was revoked stays so
        raise _most_telling(answers)
    best = max(good, key=lambda answer: answer.order)
    faults |= _stale(answers, best)
    trust.write_metadata(best.files)
    if best.info is None:
        raise UnknownTargetError(
            f"the channel has no model '{target}'", hint="see what it has with: edgekit channel status CHANNEL"
        )
    sha256, notice = _release(target, best.info)
    index = trust.read_index(sha256)
    if index is None:
        index = _fetch_index(target, best, answers, faults)
        trust.write_index(sha256, index)
        trust.forget_indexes(sha256)
    trust.note_time(now)
    return _followed(target, best, index, notice, faults)


def fetch_deltas(followed: Followed, mirrors: Sequence[Transport]) -> bytes:
    """The delta index that the channel signed together with the release, from the first mirror that gives it.

    Raises:
        UnknownTargetError: There is none.
        DigestError: Some mirror has another file in its place, and none has the right one.
        TransportError: None can be read.
    """
    if followed.deltas is None:
        raise UnknownTargetError(f"the channel has no deltas for {followed.target}")
    name = deltas_file(followed.target, followed.deltas.sha256)
    found: list[EdgekitError] = []
    for mirror in mirrors:
        try:
            return _read_target(mirror, name, followed.deltas)
        except (TrustError, TransportError) as error:
            found.append(error)
    raise _first_lie(found)


def _known(trust: TrustFolder, root: bytes | None) -> dict[str, bytes]:
    """Metadata that is trusted from before; a root that was damaged on the disk gives way to the one handed over.

    Raises:
        MalformedError: There is no root to begin with.
        SignatureError: The one handed over is not signed by its own keys.
    """
    known = trust.read_metadata()
    if "root.json" in known:
        try:
            check_root(known["root.json"], where=str(trust.path / "metadata" / "root.json"))
            return known
        except TrustError:
            if root is None:
                raise
    if root is None:
        raise MalformedError(
            f"{trust.path} trusts no channel yet", hint="hand over the channel's root metadata, 1.root.json"
        )
    return known | {"root.json": check_root(root, where="the root metadata to trust")}


def _answers(
    mirrors: Sequence[Transport], ask: Callable[[Transport], Answer], known: Mapping[str, bytes]
) -> list[Answer]:
    """What each mirror answers, in their order; those that are silent for too long are told as stalled."""
    found = ask_all(
        mirrors, ask, patience_s=PATIENCE_S, longest_s=LONGEST_S, is_good=lambda answer: answer.fault is None
    )
    answers = [
        Answer(mirror, {"root.json": known["root.json"]}, fault=answer) if isinstance(answer, EdgekitError) else answer
        for mirror, answer in found
    ]
    return sorted(answers, key=lambda answer: mirrors.index(answer.mirror))


def _stale(answers: Sequence[Answer], best: Answer) -> dict[str, str]:
    """Mirrors that are behind the newest one, with how far."""
    found = {}
    for answer in answers:
        if not answer.fault and answer.order < best.order:
            which, mine, newest = next(
                (role, mine, newest)
                for role, mine, newest in zip(("root", "timestamp"), answer.order, best.order, strict=True)
                if mine != newest
            )
            found[answer.mirror.url] = f"stale: it has version {mine} of the {which}, {newest} is current"
    return found


def _most_telling(answers: Sequence[Answer]) -> EdgekitError:
    """The one error to raise when no mirror can be used: what cannot be trusted says more than what is not there."""
    faults = [answer.fault for answer in answers if answer.fault]
    if len(faults) == 1:
        return faults[0]
    broken = next((fault for fault in faults if isinstance(fault, TrustError)), None)
    if broken is None:
        named = {answer.mirror.url: told(answer.fault, answer.mirror) for answer in answers if answer.fault}
        return SourcesError("no mirror of the channel can be read", faults=named, hint="is the network there?")
    others = "".join(f"\n  {fault}" for fault in faults if fault is not broken)
    return type(broken)(f"no mirror of the channel can be trusted:\n  {broken}{others}", hint=broken.hint)


def _release(target: str, info: TargetFile) -> tuple[str, ReleaseNotice]:
    """Digest of the release index, and what the channel says of it.

    Raises:
        MalformedError: The target has no sha256, is too large, or says nothing of the release.
    """
    sha256 = info.hashes.get("sha256", "")
    check_sha256(sha256, where=f"the sha256 of {target}")
    if not 0 < info.length <= LARGEST_INDEX_BYTES:
        raise MalformedError(
            f"{target}: a release index of {info.length} bytes; at most {LARGEST_INDEX_BYTES} are read"
        )
    return sha256, ReleaseNotice.from_custom(info.custom, where=f"the channel's {target}")


def _fetch_index(target: str, best: Answer, answers: Sequence[Answer], faults: dict[str, str]) -> bytes:
    """The release index, from the mirror that is newest or else from any other; its digest decides.

    Raises:
        DigestError: Some mirror has another file in its place, and none has the right one.
        TransportError: None can be read.
    """
    assert best.info is not None
    blob = Blob(best.info.hashes["sha256"], best.info.length)
    name = target_file(target, blob.sha256)
    found: list[EdgekitError] = []
    for answer in sorted(answers, key=lambda answer: (answer is not best, answer.fault is not None)):
        try:
            return _read_target(answer.mirror, name, blob)
        except (TrustError, TransportError) as error:
            faults[answer.mirror.url] = told(error, answer.mirror)
            found.append(error)
    raise _first_lie(found)


def _first_lie(faults: Sequence[EdgekitError]) -> EdgekitError:
    """The one error to raise where no mirror has a file: who has another in its place says more than who has none."""
    return next((fault for fault in faults if isinstance(fault, DigestError)), faults[0])


def _read_target(mirror: Transport, name: str, blob: Blob) -> bytes:
    data = read_all(mirror, name, limit_bytes=blob.size_bytes)
    if len(data) < blob.size_bytes:
        raise LengthError(
            f"{name} has only {len(data)} of the {blob.size_bytes} bytes that were signed",
            limit_bytes=blob.size_bytes,
            source=mirror.url,
        )
    if digest.of_bytes(data) != blob.sha256:
        raise DigestError(
            f"{mirror.url}: {name} is not the file that the channel signed", hint="the mirror altered it: use another"
        )
    return data


def _followed(target: str, best: Answer, index: bytes, notice: ReleaseNotice, faults: Mapping[str, str]) -> Followed:
    signed = {file.removesuffix(".json"): read_signed(data) for file, data in sorted(best.files.items())}
    return Followed(
        target,
        index,
        digest.of_bytes(index),
        notice,
        {role: each.version for role, each in signed.items()},
        min(each.expires for each in signed.values()),
        read_authority(target.partition("/")[0], best.files),
        faults,
        _deltas(best.deltas),
    )


def _deltas(info: TargetFile | None) -> Blob | None:
    """The delta index; one that cannot be read is as good as none, since nobody needs it."""
    if info is None or not 0 < info.length <= LARGEST_INDEX_BYTES:
        return None
    try:
        return Blob(check_sha256(info.hashes.get("sha256", ""), where="the delta index"), info.length)
    except MalformedError:
        return None
