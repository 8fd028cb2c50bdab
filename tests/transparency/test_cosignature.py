"""Cosignatures: the message of the specification, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, SignatureError
from edgekit.seal.keys import generate
from edgekit.transparency.cosignature import LATEST_TIME, check_cosignature, cosign
from edgekit.transparency.note import COSIGNATURE, NoteSignature, SignedNote, VerifierKey, read_note, sign, write_note

SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xe"
    "McTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+"
    "mbIUBkBIfZ+qnA==\n"
).encode()
"""From c2sp.org/tlog-cosignature; its message has "time 1679315147"."""
KEY = generate("ed25519")
WITNESS = VerifierKey("witness.example/a", KEY.public, COSIGNATURE)
TEXT = "example.org/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


def test_the_layout_of_the_specifications_example() -> None:
    note = read_note(SOFA)
    cosigned = note.signatures[1]
    assert write_note(note) == SOFA
    assert len(cosigned.signature) == 72
    assert int.from_bytes(cosigned.signature[:8]) == 1679315147


def test_the_message_is_that_of_the_specification() -> None:
    """Built here by hand; a plain verification of ed25519 accepts what `cosign` made."""
    made = cosign(TEXT, WITNESS.name, KEY, 1679315147)
    KEY.public.verify(made.signature[8:], f"cosignature/v1\ntime 1679315147\n{TEXT}".encode())
    assert made.key_id == WITNESS.key_id != VerifierKey(WITNESS.name, KEY.public).key_id


@given(time=st.integers(0, LATEST_TIME))
def test_a_time_comes_back(time: int) -> None:
    note = SignedNote(TEXT, (cosign(TEXT, WITNESS.name, KEY, time),))
    assert check_cosignature(read_note(write_note(note)), WITNESS) == time


def test_of_several_the_latest_counts_and_each_has_to_hold() -> None:
    both = tuple(cosign(TEXT, WITNESS.name, KEY, time) for time in (7, 9, 8))
    assert check_cosignature(SignedNote(TEXT, both), WITNESS) == 9
    bad = NoteSignature(both[0].name, both[0].key_id, both[0].signature[:-1] + bytes([both[0].signature[-1] ^ 1]))
    with pytest.raises(SignatureError, match="does not verify"):
        check_cosignature(SignedNote(TEXT, (*both, bad)), WITNESS)


def test_every_flipped_bit_is_noticed() -> None:
    note = write_note(SignedNote(TEXT, (cosign(TEXT, WITNESS.name, KEY, 5),)))
    for bit in range(8 * len(note)):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedError, SignatureError)):
            check_cosignature(read_note(bytes(changed)), WITNESS)


def test_what_is_no_cosignature() -> None:
    plain = sign(TEXT, WITNESS.name, KEY)
    made = cosign(TEXT, WITNESS.name, KEY, 5)
    for signature in (
        plain,  # the right key, another type
        NoteSignature(WITNESS.name, WITNESS.key_id, plain.signature),
        NoteSignature(WITNESS.name, WITNESS.key_id, bytes(8) + plain.signature),
        NoteSignature(WITNESS.name, WITNESS.key_id, made.signature + b"\0"),
        NoteSignature(WITNESS.name, WITNESS.key_id, b"\xff" * 8 + made.signature[8:]),
        NoteSignature("witness.example/b", made.key_id, made.signature),
    ):
        with pytest.raises(SignatureError):
            check_cosignature(SignedNote(TEXT, (signature,)), WITNESS)
    as_log = VerifierKey(WITNESS.name, KEY.public)
    with pytest.raises(SignatureError):
        check_cosignature(SignedNote(TEXT, (NoteSignature(made.name, as_log.key_id, made.signature),)), as_log)


def test_what_cannot_be_cosigned() -> None:
    for text, key, time in ((TEXT, KEY, -1), (TEXT, KEY, 2**63), ("a", KEY, 0), (TEXT, generate("p256"), 0)):
        with pytest.raises(InputError):
            cosign(text, WITNESS.name, key, time)
