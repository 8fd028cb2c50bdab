"""Auditing a log: what all of its mirrors show is one history, its files hash to its head, and its releases make sense.

Nothing is believed but the log's own signature. Every entry of the newest head is read, the tree is computed anew from
the entries alone, and every tile is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgekit.errors import MalformedError, ProofError, SignatureError, TransportError, TrustError, WitnessError
from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.merkle import joined, leaf_hash, node_hash
from edgekit.transparency.note import VerifierKey, read_note
from edgekit.transparency.policy import Policy
from edgekit.transparency.shown import Shown, look, nobody, told
from edgekit.types.progress import Progress, Silent
from edgekit.types.release_leaf import ReleaseLeaf, read_leaf

MOST_FINDINGS = 100
_STEP = 256


@dataclass(frozen=True)
class Mirror:
    """What one mirror shows.

    Attributes:
        url: Where it is.
        size: Entries at its head; None where it has none that can be trusted.
        fault: What is wrong with it; "" where nothing is.
    """

    url: str
    size: int | None
    fault: str = ""


@dataclass(frozen=True)
class Listed:
    """A release in the log.

    Attributes:
        index: Of its entry.
        release: What the entry says.
    """

    index: int
    release: ReleaseLeaf


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        origin: Name of the log.
        size: Entries at its newest head.
        root: Root hash there, lower-case hex.
        before: Entries at the head that was remembered; None where nothing was.
        mirrors: What each shows.
        read_from: URL of the mirror whose every entry and tile was read.
        witnesses: Name in the policy -> when it cosigned the newest head, seconds since 1970.
        releases: In the order of the log.
        others: How many entries are no releases of edgekit.
        findings: What no honest log holds, or what the policy misses; nothing where all is well.
    """

    origin: str
    size: int
    root: str
    before: int | None
    mirrors: tuple[Mirror, ...]
    read_from: str
    witnesses: Mapping[str, int]
    releases: tuple[Listed, ...]
    others: int
    findings: tuple[str, ...]


def audit(
    readers: Sequence[LogReader],
    log: VerifierKey,
    *,
    memory: CheckpointMemory | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Read a whole log, and hold what its mirrors show against each other and against what was seen before.

    Args:
        readers: One for each mirror, at least one.
        log: The log's key.
        memory: What was seen before; the newest head goes there. None remembers nothing.
        policy: Who has to have cosigned the newest head; None does not ask.
        progress: Who watches.

    Raises:
        SplitViewError: The log signed two histories; evidence is kept in `memory`.
        RollbackError: All mirrors are behind what was seen before.
        ProofError: No mirror has files that hash to the newest head.
        SignatureError: The policy does not know the log.
        TrustError: No mirror has a head that the log signed; or of the kinds above, the one that `errors` names.
        SourcesError: No mirror can be read.
    """
    if policy:
        policy.require(log)
    shown = look(readers, log, memory)
    newest = shown.newest
    known = memory.newest(log) if memory else None
    if memory:
        memory.advance(newest.note, log, *shown.ordered)
    findings: list[str] = []
    witnesses = _witnesses(shown, policy, findings)
    history, source = _read_whole(shown, progress or Silent())
    return Audit(
        newest.checkpoint.origin,
        newest.checkpoint.size,
        newest.checkpoint.root.hex(),
        known.checkpoint.size if known else None,
        tuple(_mirror(reader, shown) for reader in readers),
        source.url,
        witnesses,
        tuple(history.releases),
        history.others,
        (*findings, *history.all_findings()),
    )


@dataclass
class _History:
    """Releases of a log, as they come."""

    releases: list[Listed] = field(default_factory=list)
    others: int = 0
    findings: list[str] = field(default_factory=list)
    passed_over: int = 0
    _last: dict[str, Listed] = field(default_factory=dict)
    _by_version: dict[tuple[str, int], Listed] = field(default_factory=dict)

    def take(self, index: int, entry: bytes) -> None:
        """One entry more."""
        try:
            listed = Listed(index, read_leaf(entry))
        except MalformedError:
            self.others += 1
            return
        self.releases.append(listed)
        leaf = listed.release
        twin = self._by_version.setdefault((leaf.name, leaf.version), listed)
        last = self._last.get(leaf.name)
        if twin.release != leaf:
            self._find(
                f"entry {index}: {leaf.name} version {leaf.version} is release {leaf.release[:12]}..., "
                f"and release {twin.release.release[:12]}... in entry {twin.index}"
            )
        elif last and leaf.version < last.release.version:
            self._find(
                f"entry {index}: {leaf.name} version {leaf.version} comes after "
                f"version {last.release.version} in entry {last.index}"
            )
        if last is None or leaf.version > last.release.version:
            self._last[leaf.name] = listed

    def all_findings(self) -> list[str]:
        """All findings; of very many the number."""
        more = [f"and {self.passed_over} more of this kind"] if self.passed_over else []
        return self.findings + more

    def _find(self, finding: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.passed_over += 1


class _Tree:
    """Root hash of entries as they come, from nothing but the entries (RFC 6962, 2.1)."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes]] = []
        """Level and hash of the complete subtrees so far, largest first."""

    def add(self, entry: bytes) -> None:
        level, total = 0, leaf_hash(entry)
        while self._parts and self._parts[-1][0] == level:
            total = node_hash(self._parts.pop()[1], total)
            level += 1
        self._parts.append((level, total))

    @property
    def root(self) -> bytes:
        return joined([part for _, part in self._parts])


def _witnesses(shown: Shown, policy: Policy | None, findings: list[str]) -> Mapping[str, int]:
    """Who cosigned the newest head, as any of its mirrors has it; that none has enough is a finding."""
    if policy is None:
        return {}
    fault: TrustError | None = None
    for reader in shown.ordered:
        if shown.heads[reader].checkpoint.size < shown.newest.checkpoint.size:
            break
        try:
            return policy.check(read_note(shown.heads[reader].note)).witnesses
        except WitnessError as error:
            fault = fault or error
        except SignatureError as error:  # a line that anybody can put below the log's own
            fault = fault or error
            shown.faults[reader] = error
    findings.append(str(fault))
    return {}


def _read_whole(shown: Shown, progress: Progress) -> tuple[_History, LogReader]:
    """Every entry, from the first mirror that has the whole newest head; what is wrong with others is noted."""
    head = shown.newest.checkpoint
    for reader in shown.ordered:
        if shown.heads[reader].checkpoint.size < head.size:
            break
        try:
            return _read(reader, head, progress), reader
        except (TrustError, TransportError) as error:
            shown.faults[reader] = error
    raise nobody(shown.faults, f"no mirror has the whole log of {head}")


def _read(reader: LogReader, head: Checkpoint, progress: Progress) -> _History:
    history, tree, index = _History(), _Tree(), 0
    with progress.stage("read the log", head.size) as stage:
        for entry in reader.entries(0, head.size, head):
            tree.add(entry)
            history.take(index, entry)
            index += 1
            if index % _STEP == 0:
                stage.advance(_STEP)
        stage.advance(index % _STEP)
    if index != head.size or tree.root != head.root:
        raise ProofError(f"the {index} entries do not hash to the root of {head}")
    return history


def _mirror(reader: LogReader, shown: Shown) -> Mirror:
    head, fault = shown.heads.get(reader), shown.faults.get(reader)
    return Mirror(reader.url, head.checkpoint.size if head else None, told(reader, fault) if fault else "")
