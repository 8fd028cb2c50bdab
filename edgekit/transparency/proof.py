"""Proofs for offline use (c2sp.org/tlog-proof v1): an entry's place in a log, its inclusion, and the signed checkpoint.

Whoever has the entry, such a file and a policy needs nobody else to know that the entry was shown to everybody.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.errors import InputError, MalformedError, SignatureError
from edgekit.transparency.checkpoint import Checkpoint, read_checkpoint, read_decimal, read_hash
from edgekit.transparency.merkle import MOST_HASHES, check_inclusion, leaf_hash
from edgekit.transparency.note import LARGEST_NOTE_BYTES, SignedNote, VerifierKey, read_base64, read_note, write_note
from edgekit.transparency.policy import Policy

HEADER = "c2sp.org/tlog-proof@v1"
LARGEST_EXTRA_BYTES = 64 * 1024
LARGEST_PROOF_BYTES = LARGEST_NOTE_BYTES + 2 * LARGEST_EXTRA_BYTES
"""Of a whole file."""
_LARGEST_HEAD_BYTES = 2 * LARGEST_EXTRA_BYTES


@dataclass(frozen=True)
class LogProof:
    """That an entry is in a log; whether it holds, `check_proof` says.

    Attributes:
        index: Of the entry, from 0.
        hashes: Inclusion proof, from the entry's sibling up.
        note: The signed checkpoint, with the cosignatures that there are.
        extra: Further data, which no signature covers; None where there is none.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: SignedNote
    extra: bytes | None = None


@dataclass(frozen=True)
class Proven:
    """An entry that is in a log which satisfies a policy.

    Attributes:
        index: Of the entry, from 0.
        checkpoint: Head of the log.
        note: The signed checkpoint, whole.
        log: Whose it is.
        witnesses: Name in the policy -> when it cosigned, seconds since 1970.
    """

    index: int
    checkpoint: Checkpoint
    note: bytes
    log: VerifierKey
    witnesses: Mapping[str, int]

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        """Entries of the log."""
        return self.checkpoint.size


def read_proof(data: bytes) -> LogProof:
    """Read a `.tlog-proof` file; nothing is verified but its form.

    Raises:
        MalformedError: It is none.

    Law: write_proof(read_proof(data)) == data, and read_proof(write_proof(proof)) == proof.
    """
    if len(data) > LARGEST_PROOF_BYTES:
        raise MalformedError(f"a proof of {len(data)} bytes; at most {LARGEST_PROOF_BYTES} are read")
    head, empty, note = data.partition(b"\n\n")
    if not empty or len(head) > _LARGEST_HEAD_BYTES:
        raise MalformedError("a proof needs an empty line, and below it the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError(f"a proof holds something other than ASCII at byte {error.start}") from error
    if lines.pop(0) != HEADER:
        raise MalformedError(f"this is no proof of a log: its first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = read_base64(lines.pop(0).removeprefix("extra "), where="the extra data of a proof")
        if len(extra) > LARGEST_EXTRA_BYTES:
            raise MalformedError(f"a proof with {len(extra)} bytes of extra data; at most {LARGEST_EXTRA_BYTES}")
    if not lines or not lines[0].startswith("index "):
        raise MalformedError("a proof lacks the line with the index of its entry")
    index = read_decimal(lines.pop(0).removeprefix("index "), where="the index in a proof")
    if len(lines) > MOST_HASHES:
        raise MalformedError(f"a proof with {len(lines)} hashes; at most {MOST_HASHES} are needed")
    hashes = tuple(read_hash(line, where="a hash in a proof") for line in lines)
    found = read_note(note)
    read_checkpoint(found.text)
    return LogProof(index, hashes, found, extra)


def write_proof(proof: LogProof) -> bytes:
    """The bytes of a `.tlog-proof` file.

    Raises:
        InputError: It holds something that cannot be read again.
    """
    extra = [] if proof.extra is None else [f"extra {b64encode(proof.extra).decode()}"]
    hashes = [b64encode(each).decode() for each in proof.hashes]
    head = "\n".join([HEADER, *extra, f"index {proof.index}", *hashes])
    data = head.encode() + b"\n\n" + write_note(proof.note)
    try:
        if read_proof(data) == proof:
            return data
    except MalformedError as error:
        raise InputError(str(error)) from error
    raise InputError("this proof cannot be written so that it is read the same again")


def check_proof(data: bytes, leaf: bytes, policy: Policy) -> Proven:
    """Verify that an entry is in a log that satisfies a policy; needs no network.

    Args:
        data: The `.tlog-proof` file.
        leaf: The entry itself.
        policy: Which log, and which witnesses.

    Raises:
        MalformedError: The file is no proof.
        SignatureError: No log of the policy signed the checkpoint.
        WitnessError: Too few witnesses cosigned it.
        ProofError: The entry is not where it says.
    """
    proof = read_proof(data)
    try:
        accepted = policy.check(proof.note)
    except SignatureError as error:
        raise SignatureError(f"the proof does not count: {error}", hint=error.hint) from error
    head = accepted.checkpoint
    check_inclusion(leaf_hash(leaf), proof.index, head.size, proof.hashes, head.root)
    return Proven(proof.index, head, write_note(proof.note), accepted.log, accepted.witnesses)
