"""Split view: two heads that a log signed and that cannot both be true, as evidence that convinces a third person.

Heads of one size with different roots need nothing else. For heads of different sizes the evidence holds the root that
the larger tree has at the smaller size, and the consistency proof (RFC 6962, 2.1.2) that leads from there to the larger
head: whoever checks it needs neither the log nor whoever found it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgekit.errors import (
    EdgekitError,
    KeyFileError,
    MalformedError,
    ProofError,
    SourcesError,
    SplitViewError,
    TransportError,
)
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint, read_hash
from edgekit.transparency.merkle import MOST_HASHES, check_consistency, proven_root
from edgekit.transparency.note import VerifierKey
from edgekit.types.strict_json import canonical, object_with, read_canonical

SCHEMA = "edgekit.split-view/1"
LARGEST_BYTES = 2**20
_FIELDS = ("schema", "log", "heads", "root", "proof")


class History(Protocol):
    """Who can show what a log looked like before: a mirror of it, or the log itself. Nothing it says is trusted."""

    def prove_consistency(self, old: int, head: Checkpoint, /) -> Sequence[bytes]:
        """The hashes that lead from the tree of `old` leaves to that of `head`."""
        ...

    def root_at(self, size: int, head: Checkpoint, /) -> bytes:
        """The root of the first `size` leaves of the tree of `head`."""
        ...


@dataclass(frozen=True)
class SignedHead:
    """A checkpoint, and the note that it was read from.

    Attributes:
        note: As it came.
        checkpoint: What it says; the log's signature was verified.
    """

    note: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Evidence:
    """That a log forked.

    Attributes:
        log: Whose signature is on both heads.
        heads: The two notes, the smaller tree first.
        root: What the tree of the second head has at the size of the first one; another one than that says.
        proof: Consistency proof from there to the second head; empty where both have one size.
    """

    log: VerifierKey
    heads: tuple[bytes, bytes]
    root: bytes
    proof: tuple[bytes, ...]

    def error(self, *, kept: str = "") -> SplitViewError:
        """What to raise.

        Args:
            kept: Path of the file that the evidence lies in; "" where it lies in none.
        """
        where = f", and the evidence is kept in {kept}" if kept else ""
        return SplitViewError(
            f"the log {self.log.name} signed two histories that cannot both be true{where}",
            heads=(self.heads[0].decode(), self.heads[1].decode()),
            hint="trust nothing that this log says from now on, and show its two heads to whoever else relies on it",
        )


def open_head(note: bytes, log: VerifierKey) -> SignedHead:
    """A head of a log, verified.

    Raises:
        MalformedError: It is no checkpoint.
        SignatureError: This log did not sign it.
    """
    return SignedHead(note, open_checkpoint(note, log))


def compare(known: SignedHead, other: SignedHead, log: VerifierKey, histories: Sequence[History]) -> Evidence | None:
    """Whether two heads of one log can both be true.

    Args:
        known: One of them.
        other: The other; either may be larger.
        log: Who signed both.
        histories: Who may show how the smaller tree grew into the larger one, in order of preference; one that lies is
            passed over.

    Returns:
        None where the smaller tree is the beginning of the larger one; otherwise evidence that it is not.

    Raises:
        ProofError: Nobody shows either, and somebody lied.
        SourcesError: Nobody can be asked.
    """
    small, large = sorted((known, other), key=lambda head: head.checkpoint.size)
    old, new = small.checkpoint, large.checkpoint
    if old.size == new.size:
        return None if old.root == new.root else Evidence(log, (small.note, large.note), new.root, ())
    if old.size == 0:
        return None
    faults: dict[str, EdgekitError] = {}
    for number, history in enumerate(histories, start=1):
        try:
            proof = tuple(history.prove_consistency(old.size, new))
            root = old.root if _leads(old, old.root, new, proof) else history.root_at(old.size, new)
            if root == old.root:
                check_consistency(old.size, old.root, new.size, new.root, proof)
                return None
            check_consistency(old.size, root, new.size, new.root, proof)
            return Evidence(log, (small.note, large.note), root, proof)
        except EdgekitError as error:  # the next one may do better; all of them are told below
            faults[str(getattr(history, "url", f"source {number}"))] = error
    raise _unproven(old, new, faults)


def forked_root(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bytes | None:
    """The root that the tree of `new` has at the size of `old`, where a proof shows that it is another one.

    A consistency proof that fails may show a fork all the same: its hashes lead to the new root, and what they say of
    the smaller tree contradicts the old one.

    Returns:
        None where the proof shows nothing, as always from a tree whose size is a power of two: its root is not in it.
    """
    if old.size >= new.size:
        return None
    try:
        root = proven_root(old.size, new.size, new.root, proof)
    except ProofError:
        return None
    return root if root != old.root else None


def write_evidence(evidence: Evidence) -> bytes:
    """Evidence as a file: canonical JSON of the schema edgekit.split-view/1.

    Law: read_evidence(write_evidence(evidence)) == evidence.
    """
    return canonical(
        {
            "schema": SCHEMA,
            "log": str(evidence.log),
            "heads": [head.decode() for head in evidence.heads],
            "root": _text(evidence.root),
            "proof": [_text(each) for each in evidence.proof],
        }
    )


def read_evidence(data: bytes) -> Evidence:
    """Evidence from a stranger, verified: the two heads are signed by the key in it, and contradict one another.

    Whether that key is the one of a log that anybody relies on is for the reader to see.

    Raises:
        MalformedError: It is no evidence.
        SignatureError: A head is not signed by that key.
        ProofError: The heads can both be true, as far as this shows.
    """
    table = object_with(
        read_canonical(data, where="the evidence", limit_bytes=LARGEST_BYTES), required=_FIELDS, where="the evidence"
    )
    evidence = _build(table)
    first, second = (open_head(head, evidence.log).checkpoint for head in evidence.heads)
    if first.size == second.size:
        contradicts = first.root != second.root and evidence.root == second.root and not evidence.proof
    else:
        contradicts = 0 < first.size < second.size and evidence.root != first.root
        if contradicts:
            check_consistency(first.size, evidence.root, second.size, second.root, evidence.proof)
    if not contradicts:
        raise ProofError(f"the two heads of {evidence.log.name} do not contradict one another")
    return evidence


def _leads(old: Checkpoint, root: bytes, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    try:
        check_consistency(old.size, root, new.size, new.root, proof)
    except ProofError:
        return False
    return True


def _unproven(old: Checkpoint, new: Checkpoint, faults: Mapping[str, EdgekitError]) -> EdgekitError:
    """Nobody showed how one tree grew into the other: no proof of a fork, and no reason to believe the new head."""
    told = {name: str(error).removeprefix(f"{name}: ") for name, error in faults.items()}
    message = f"nobody shows that the log {old.origin} only grew from {old.size} to {new.size} entries"
    if faults and all(isinstance(error, TransportError) for error in faults.values()):
        return SourcesError(f"{message}:", faults=told, hint="try again, or add another mirror of the log")
    lines = "".join(f"\n  {name}: {fault}" for name, fault in told.items())
    return ProofError(f"{message}:{lines}" if lines else message, hint="ask another mirror of the log")


def _build(table: Mapping[str, Any]) -> Evidence:
    heads, proof = table["heads"], table["proof"]
    if table["schema"] != SCHEMA:
        raise MalformedError(f"the evidence is of schema {str(table['schema'])[:80]!r}; this edgekit reads {SCHEMA!r}")
    if not _is_texts(heads) or len(heads) != 2:
        raise MalformedError("the evidence holds no two heads")
    if not _is_texts(proof) or len(proof) > MOST_HASHES:
        raise MalformedError(f"the evidence holds no proof of at most {MOST_HASHES} hashes")
    if not isinstance(table["log"], str):
        raise MalformedError("the evidence does not name a log's key")
    try:
        log = VerifierKey.parse(table["log"])
    except KeyFileError as error:
        raise MalformedError(f"the evidence does not name a log's key: {error}") from error
    return Evidence(log, (heads[0].encode(), heads[1].encode()), _hash(table["root"]), tuple(map(_hash, proof)))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _text(digest: bytes) -> str:
    return b64encode(digest).decode()


def _hash(text: object) -> bytes:
    if not isinstance(text, str):
        raise MalformedError(f"the evidence has {str(text)[:60]!r} in the place of a hash")
    return read_hash(text, where="a hash of the evidence")
