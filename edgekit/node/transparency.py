"""Transparency: a release is installed only where a log shows it to everybody, and the log only ever grows.

Two questions are put at each update of a node that has a policy:

- Is the release in the log? A proof (c2sp.org/tlog-proof) that any mirror may have says so offline: the release's leaf
  is in a tree whose head the log signed, and as many witnesses as the policy demands. It is kept in `trust/proofs`.
- Is the log the one that was seen before? Its newest head is asked for, and has to continue the newest one that is
  remembered in `trust/log`. Two heads that cannot both be true are a split view: nothing is installed any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from edgekit.channel.client import Followed
from edgekit.channel.names import proof_file
from edgekit.errors import (
    AbsentError,
    EdgekitError,
    MalformedError,
    ProofError,
    RollbackError,
    SignatureError,
    SourcesError,
    SplitViewError,
    TransportError,
    TrustError,
)
from edgekit.node.disk import clear, make_folders, save
from edgekit.node.log_policy import kept_proof, log_memory, policy_of, read_kept
from edgekit.node.opened import Node
from edgekit.node.slots import read_slots
from edgekit.oci.media_types import IMAGE_INDEX
from edgekit.oci.reading import read_index
from edgekit.transparency.checkpoint import open_checkpoint
from edgekit.transparency.log_reader import CHECKPOINT, LogReader
from edgekit.transparency.note import LARGEST_NOTE_BYTES, SignedNote, VerifierKey, read_note
from edgekit.transparency.policy import NONE, Policy
from edgekit.transparency.proof import LARGEST_PROOF_BYTES, Proven, check_proof
from edgekit.transparency.splitview import SignedHead, compare, read_evidence
from edgekit.transport.asking import ask_all, told
from edgekit.transport.opening import opened
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.release_leaf import ReleaseLeaf

LOG = "log/"
"""Where a log lies that lies in a channel."""


class LogWatch:
    """One update's questions to the log."""

    def __init__(self, node: Node, policy: Policy, mirrors: Sequence[Transport], logs: Sequence[Transport]) -> None:
        """Ask for a node that is locked.

        Args:
            node: Opened.
            policy: Of the node.
            mirrors: Of the channel: they have the proofs.
            logs: Copies of the log; none looks below each mirror.
        """
        self._node = node
        self._policy = policy
        self._mirrors = mirrors
        self._logs = logs or mirrors
        self._prefix = "" if logs else LOG
        self._memory = log_memory(node.folder)
        self._was_read = False

    def look(self) -> dict[str, str]:
        """Hold the newest heads of the log against what is remembered, and remember the newest.

        Returns:
            URL of a copy of the log -> what was wrong with it. A log that is silent keeps no release from running.

        Raises:
            SplitViewError: The log signed two histories, now or earlier; the evidence is kept in `trust/log`.
            RollbackError: Every copy that answers has an older head than the one remembered.
            MalformedError: What is remembered was damaged.
        """
        self._check_past()
        faults: dict[str, str] = {}
        stale: RollbackError | None = None
        is_current = False
        for size, place, note, log in sorted(self._heads(faults), key=lambda head: head[0], reverse=True):
            try:
                self._memory.advance(note, log, *self._readers(log, first=place))
                is_current = True
            except SplitViewError:
                raise
            except RollbackError as error:
                stale = error
                faults[place.url] = f"its log is stale: it has {size} entries, and more were seen before"
            except (TrustError, TransportError) as error:
                faults[place.url] = f"its log: {told(error, place)}"
        if stale and not is_current:
            raise stale
        return faults

    def _check_past(self) -> None:
        """That nothing is held against a log: one that forked once is believed no more, whatever it shows later.

        Raises:
            SplitViewError: There is evidence that it did.
            MalformedError: What is remembered was damaged.
        """
        known = [log.key for log in self._policy.logs]
        for path in self._memory.evidence():
            try:
                evidence = read_evidence(path.read_bytes())
            except (OSError, TrustError):
                continue  # it shows nothing any more
            if evidence.log in known:
                raise evidence.error(kept=str(path))
        for log in known:
            self._memory.newest(log)

    def prove(self, followed: Followed) -> Proven:
        """That the log shows what the channel calls current, as the policy demands; the proof is kept.

        One that was kept before is verified again, which costs no more than its signatures.

        Raises:
            ProofError: No mirror has a proof, or it does not hold, or nobody shows that its log is the one known here.
            WitnessError: Too few witnesses signed.
            SignatureError: The policy does not know its log.
            SplitViewError: The log signed two histories.
            SourcesError: No mirror can be read.
            StorageError: The system refuses.
        """
        release = followed.release_digest
        leaf = leaf_of(followed).to_bytes()
        kept = read_kept(self._node.folder, self._policy, release, leaf)
        if kept is not None:
            return kept
        name = proof_file(release)
        faults: dict[Transport, EdgekitError] = {}
        for mirror, answer in ask_all(
            self._mirrors, lambda place: read_all(place, name, limit_bytes=LARGEST_PROOF_BYTES), patience_s=20.0
        ):
            try:
                if isinstance(answer, EdgekitError):
                    raise answer
                proven = check_proof(answer, leaf, self._policy)
                is_connected = self._connect(proven)
            except SplitViewError:
                raise
            except (TrustError, TransportError) as error:
                faults[mirror] = error
                continue
            if is_connected:  # otherwise it is asked for again next time, when the log may be there
                self._keep(release, answer)
            return proven
        raise _refusal(followed, faults)

    def _heads(self, faults: dict[str, str]) -> Iterator[tuple[int, Transport, bytes, VerifierKey]]:
        """Size, place, note and key of every head that a known log signed."""
        name = f"{self._prefix}{CHECKPOINT}"
        for place, note in ask_all(self._logs, lambda log: read_all(log, name, limit_bytes=LARGEST_NOTE_BYTES)):
            try:
                if isinstance(note, EdgekitError):
                    raise note
                log = self._log(read_note(note))
                self._was_read = True
                yield open_checkpoint(note, log).size, place, note, log
            except (TrustError, TransportError) as error:
                faults[place.url] = f"its log: {told(error, place)}"

    def _log(self, note: SignedNote) -> VerifierKey:
        for log in self._policy.logs:
            if note.by(log.key):
                return log.key
        raise SignatureError("no log of the policy signed its checkpoint")

    def _readers(self, log: VerifierKey, *, first: Transport | None = None) -> list[LogReader]:
        places = sorted(self._logs, key=lambda place: place is not first)
        return [LogReader(place, log, self._prefix) for place in places]

    def _connect(self, proven: Proven) -> bool:
        """That the log of a proof is the one that is remembered.

        Where no copy of it is in reach, the word of witnesses will do: that it only grew is what they vouch for.

        Returns:
            Whether the log itself showed it.

        Raises:
            SplitViewError: It is not.
            ProofError: The log can be read, and does not show it.
            SourcesError: No copy of it can be read, and the policy asks for no witness.
        """
        log, head = proven.log, SignedHead(proven.note, proven.checkpoint)
        try:
            known = self._memory.newest(log)
            if known is None or head.checkpoint.size > known.checkpoint.size:
                self._memory.advance(head.note, log, *self._readers(log))
            elif evidence := compare(known, head, log, self._readers(log)):  # proofs are not renewed: older ones count
                raise evidence.error(kept=self._memory.keep_evidence(evidence))
        except TransportError as error:
            if self._was_read:
                raise ProofError(str(error), hint="the log may be behind its proof: try again later") from error
            if self._policy.quorum == NONE:
                raise
            self._node.world.tell(
                f"the log {proven.origin} is out of reach, and {len(proven.witnesses)} of its witnesses vouch for it"
            )
            return False
        return True

    def _keep(self, release: str, data: bytes) -> None:
        """Keep a proof, and of others those of releases that lie in a slot."""
        disk, path = self._node.world.disk, kept_proof(self._node.folder, release)
        make_folders(disk, path.parent, below=self._node.folder.path)
        save(disk, path, data)
        held = {release, *(slot.record.deployed.release for slot in read_slots(self._node.folder))}
        for other in sorted(path.parent.iterdir()):
            if other not in {kept_proof(self._node.folder, each) for each in held}:
                clear(disk, other)


@contextmanager
def log_watch(node: Node, mirrors: Sequence[Transport]) -> Iterator[LogWatch]:
    """The watch of a node's log for one update.

    Args:
        node: With a policy in its settings.
        mirrors: Of the channel.

    Raises:
        NodeStateError: Its policy cannot be read.
        DigestError: It was changed or damaged.
        InputError: It is none, or the URL of a log cannot be used.
    """
    policy = policy_of(node)
    with opened(node.settings.transparency.logs if node.settings.transparency else ()) as logs:
        yield LogWatch(node, policy, mirrors, logs)


def leaf_of(followed: Followed) -> ReleaseLeaf:
    """The leaf that a log has to show for a release.

    Raises:
        MalformedError: The release index names no bundle.
    """
    entries = read_index(followed.index, where="index.json").entries
    bundles = [entry.descriptor for entry in entries if entry.descriptor.media_type == IMAGE_INDEX]
    if len(bundles) != 1:
        raise MalformedError(f"index.json lists {len(bundles)} image indexes; a bundle has one")
    notice = followed.notice
    return ReleaseLeaf(followed.target, notice.version, notice.semver, followed.release_digest, bundles[0].sha256)


def _refusal(followed: Followed, faults: Mapping[Transport, EdgekitError]) -> EdgekitError:
    """The one error to raise where no mirror proves a release: what is wrong says more than what is not there."""
    about = f"{followed.target} {followed.notice.semver} (version {followed.notice.version})"
    lines = "".join(f"\n  {place.url}: {told(fault, place)}" for place, fault in faults.items())
    broken = next((fault for fault in faults.values() if isinstance(fault, TrustError)), None)
    hint = "its publisher has to log it: edgekit log append; a mirror that is behind may lack the proof"
    if broken is not None:
        return type(broken)(f"no mirror proves that the log shows {about}:{lines}", hint=broken.hint or hint)
    if any(isinstance(fault, AbsentError) for fault in faults.values()):
        return ProofError(f"no mirror has a proof that the log shows {about}:{lines}", hint=hint)
    return SourcesError(
        f"nobody can be asked whether the log shows {about}:",
        faults={place.url: told(fault, place) for place, fault in faults.items()},
        hint="try again, or add another mirror",
    )
