"""Proofs for offline use: what they show, and that nothing in one can be changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, ProofError, SignatureError, TrustError, WitnessError
from edgekit.seal.keys import generate
from edgekit.transparency.checkpoint import Checkpoint, sign_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.merkle import inclusion, root_hash
from edgekit.transparency.note import COSIGNATURE, SignedNote, VerifierKey, write_note
from edgekit.transparency.policy import read_policy
from edgekit.transparency.proof import HEADER, LARGEST_EXTRA_BYTES, LogProof, check_proof, read_proof, write_proof
from tests.transparency.recursive_tree import RecursiveReader

ENTRIES = [b"entry %d" % number for number in range(11)]
READER = RecursiveReader(ENTRIES)
LOG, WITNESS = generate("ed25519"), generate("ed25519")
ORIGIN = "example.org/log"
WITNESS_KEY = VerifierKey("w.example", WITNESS.public, COSIGNATURE)
POLICY = read_policy(f"log {VerifierKey(ORIGIN, LOG.public)}\nwitness w {WITNESS_KEY}\nquorum w\n")


def signed(size: int = len(ENTRIES), root: bytes | None = None) -> SignedNote:
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root or root_hash(size, READER)), LOG)
    return note.signed_also([cosign(note.text, "w.example", WITNESS, 77)])


def made(index: int = 6, size: int = len(ENTRIES), extra: bytes | None = None) -> bytes:
    return write_proof(LogProof(index, tuple(inclusion(index, size, READER)), signed(size), extra))


@given(size=st.integers(1, len(ENTRIES)), data=st.data(), extra=st.none() | st.binary(max_size=99))
def test_what_it_shows(size: int, data: st.DataObject, extra: bytes | None) -> None:
    index = data.draw(st.integers(0, size - 1))
    file = made(index, size, extra)
    proven = check_proof(file, ENTRIES[index], POLICY)
    assert (proven.origin, proven.index, proven.size) == (ORIGIN, index, size)
    assert proven.note == write_note(signed(size))
    assert (dict(proven.witnesses), proven.log.public) == ({"w": 77}, LOG.public)
    assert write_proof(read_proof(file)) == file
    assert read_proof(file).extra == extra
    with pytest.raises(ProofError):
        check_proof(file, ENTRIES[index] + b"x", POLICY)


def test_its_form() -> None:
    lines = made(extra=b"more").decode().split("\n")
    assert lines[:3] == [HEADER, "extra bW9yZQ==", "index 6"]
    assert lines[7:9] == ["", ORIGIN]


def test_every_flipped_bit_is_noticed() -> None:
    file = made()
    for bit in range(8 * len(file)):
        changed = bytearray(file)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedError, SignatureError, WitnessError, ProofError)):
            check_proof(bytes(changed), ENTRIES[6], POLICY)


@given(cut=st.integers(0, len(made()) - 1), more=st.binary(min_size=1, max_size=3))
def test_a_part_of_it_is_none_and_neither_is_more(cut: int, more: bytes) -> None:
    for changed in (made()[:cut], made() + more, more + made()):
        with pytest.raises(TrustError):
            check_proof(changed, ENTRIES[6], POLICY)


HEAD, _, NOTE = made().partition(b"\n\n")
HASHES = HEAD.split(b"\n")[2:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"\n" + NOTE,
        HEAD.replace(b"@v1", b"@v2") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"index 06") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"index -6") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"index 9223372036854775808") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"Index 6") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"index 6\nextra eA==") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"extra eA==\nextra eA==\nindex 6") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"extra eB==\nindex 6") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"extra eA\nindex 6") + b"\n\n" + NOTE,
        HEAD.replace(b"index 6", b"extra " + b"AAAA" * (LARGEST_EXTRA_BYTES // 3 + 1) + b"\nindex 6") + b"\n\n" + NOTE,
        HEADER.encode() + b"\n\n" + NOTE,
        HEAD + b"\n" + b"\n".join(HASHES * 17) + b"\n\n" + NOTE,
        HEAD + b"\nAAAA\n\n" + NOTE,
        HEAD.replace(b"\n", b"\r\n") + b"\n\n" + NOTE,
        HEAD + b"\n\xc3\xa4\n\n" + NOTE,
        HEAD + b"\n\n" + NOTE * 2000,
        HEAD + b"\n\nhello\n\n" + NOTE.partition(b"\n\n")[2],
    ],
)
def test_what_is_no_proof(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_proof(data)


def test_whose_word_does_not_count() -> None:
    bare = sign_checkpoint(Checkpoint(ORIGIN, 11, root_hash(11, READER)), LOG)
    unseen = write_proof(LogProof(6, tuple(inclusion(6, 11, READER)), bare))
    with pytest.raises(WitnessError, match="nobody did, w did not"):
        check_proof(unseen, ENTRIES[6], POLICY)
    elsewhere = read_policy(f"log {VerifierKey('other', LOG.public)}\nquorum none\n")
    with pytest.raises(SignatureError, match="no log of the policy"):
        check_proof(made(), ENTRIES[6], elsewhere)


def test_a_fork_proves_nothing_to_who_knows_the_root() -> None:
    """The proof of one history with the head of another."""
    file = write_proof(LogProof(6, tuple(inclusion(6, 11, READER)), signed(root=bytes(32))))
    with pytest.raises(ProofError, match="does not lead"):
        check_proof(file, ENTRIES[6], POLICY)


def test_what_cannot_be_written() -> None:
    for proof in (
        LogProof(-1, (), signed()),
        LogProof(0, (b"short",), signed()),
        LogProof(0, (bytes(32),) * 65, signed()),
        LogProof(0, (), signed(), bytes(LARGEST_EXTRA_BYTES + 1)),
        LogProof(0, (), SignedNote("hello\n", signed().signatures)),
    ):
        with pytest.raises(InputError):
            write_proof(proof)
