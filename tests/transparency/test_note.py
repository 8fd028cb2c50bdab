"""Signed notes: Go's own example, strict reading, and that nothing signed can be changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, KeyFileError, MalformedError, SignatureError
from edgekit.seal.keys import generate
from edgekit.transparency.note import (
    COSIGNATURE,
    LARGEST_NOTE_BYTES,
    LARGEST_TEXT_BYTES,
    MOST_SIGNATURES,
    NoteSignature,
    SignedNote,
    VerifierKey,
    check_signature,
    read_base64,
    read_note,
    sign,
    write_note,
)

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
GO = f"{TEXT}\n{LINE}".encode()
"""From the documentation of golang.org/x/mod/sumdb/note."""
SALVATORE = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3"
    "ZekRwNtIc=\n"
).encode()
"""From c2sp.org/signed-note."""

KEY = generate("ed25519")
MINE = VerifierKey("example.org/log", KEY.public)

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Z"], exclude_characters="+"), min_size=1
).filter(lambda name: not any(map(str.isspace, name)))
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], include_characters="\n")).map("{}\n".format)
signatures = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1))


def test_the_example_of_go() -> None:
    key, note = VerifierKey.parse(VKEY), read_note(GO)
    assert (note.text, str(note.signatures[0])) == (TEXT, LINE)
    check_signature(note, key)
    assert str(key) == VKEY
    assert write_note(note) == GO


def test_the_text_ends_at_the_last_empty_line() -> None:
    note = read_note(SALVATORE)
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]
    assert write_note(note) == SALVATORE


@given(text=texts, signed=st.lists(signatures, min_size=1, max_size=5))
def test_what_is_written_is_read_again(text: str, signed: list[NoteSignature]) -> None:
    note = SignedNote(text, tuple(signed))
    assert read_note(write_note(note)) == note


@given(name=names, kind=st.sampled_from([1, COSIGNATURE]))
def test_a_key_as_text_and_back(name: str, kind: int) -> None:
    key = VerifierKey(name, KEY.public, kind)
    assert VerifierKey.parse(str(key)) == key


def test_every_flipped_bit_of_a_note_is_noticed() -> None:
    note = write_note(SignedNote("a\nb\n", (sign("a\nb\n", MINE.name, KEY),)))
    for bit in range(8 * len(note)):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedError, SignatureError)):
            check_signature(read_note(bytes(changed)), MINE)


def test_a_signature_in_a_known_name_that_does_not_verify_spoils_the_note() -> None:
    good = sign("a\n", MINE.name, KEY)
    bad = NoteSignature(good.name, good.key_id, bytes(64))
    for both in ((good, bad), (bad, good)):
        with pytest.raises(SignatureError, match="does not verify"):
            check_signature(SignedNote("a\n", both), MINE)
    with pytest.raises(SignatureError, match="none of ed25519"):
        check_signature(SignedNote("a\n", (NoteSignature(good.name, good.key_id, bytes(63)),)), MINE)


def test_signatures_of_strangers_are_ignored() -> None:
    good = sign("a\n", MINE.name, KEY)
    strangers = (NoteSignature("x", good.key_id, b"1"), NoteSignature(good.name, b"0000", b"2"))
    check_signature(SignedNote("a\n", (*strangers, good)), MINE)
    with pytest.raises(SignatureError, match="did not sign"):
        check_signature(SignedNote("a\n", strangers), MINE)


def test_a_newer_signature_of_a_key_takes_the_older_ones_place() -> None:
    first, second = NoteSignature("a", b"0000", b"1"), NoteSignature("b", b"0000", b"2")
    note = SignedNote("a\n", (first,)).signed_also([second, NoteSignature("a", b"0000", b"3")])
    assert note.signatures == (NoteSignature("a", b"0000", b"3"), second)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a\n",
        b"a\n\n",
        b"\n" + LINE.encode(),
        GO[:-1],
        GO + b"x",
        GO + b"\n",
        GO.replace("—".encode(), b"-"),
        GO.replace(b"PeterNeumann ", b"Peter+Neumann "),
        GO.replace(b"PeterNeumann ", "Peter\N{NO-BREAK SPACE}Neumann ".encode()),
        GO.replace(b"PeterNeumann ", b" "),
        GO.replace(b"PeterNeumann ", b"PeterNeumann  "),
        GO.replace(b"AM=\n", b"AN=\n"),
        GO.replace(b"AM=\n", b"AM\n"),
        GO.replace(b"problem,", b"problem,\r"),
        GO.replace(b"problem,", b"problem,\x1b[2J"),
        GO.replace(b"problem,", b"problem,\xff"),
        GO.replace(b"problem,", b"problem,\xed\xa0\x80"),
        TEXT.encode() + b"\n" + "— a AAAAAA==\n".encode(),
        TEXT.encode() + b"\n" + LINE.encode() * 101,
        b"a" * LARGEST_NOTE_BYTES + GO,
    ],
)
def test_what_is_no_note(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_note(data)


def test_sixteen_signatures_of_5000_bytes_are_read() -> None:
    """What the specification asks for: signatures after the age of elliptic curves are long."""
    long = tuple(NoteSignature(f"w{number}", b"0000", bytes(5000)) for number in range(16))
    assert read_note(write_note(SignedNote("a\n", long))).signatures == long


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        VKEY[:-1],
        VKEY + "A",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("c74f20a3", "C74F20A3"),
        VKEY.replace("PeterNeumann", "PeterNeuman"),
        VKEY.replace("PeterNeumann", ""),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        VKEY.replace("PeterNeumann", "Peter\udcffNeumann"),
        VKEY.replace("+ARpc", "+AxPc"),
        VKEY.replace("10TW", "10TX"),
        "a" * 10_000 + VKEY,
        "a+00000000+Aw==",
    ],
)
def test_what_is_no_vkey(vkey: str) -> None:
    with pytest.raises(KeyFileError):
        VerifierKey.parse(vkey)


def test_keys_and_texts_that_cannot_be_used() -> None:
    with pytest.raises(KeyFileError, match="ed25519"):
        VerifierKey("a", generate("p256").public)
    with pytest.raises(KeyFileError, match="0x02"):
        VerifierKey("a", KEY.public, 2)
    for text in ("", "a", "a\r\n", "a\0\n", "a\ud800\n"):
        with pytest.raises(InputError):
            sign(text, "a", KEY)
    with pytest.raises(InputError):
        write_note(SignedNote("a\n", ()))
    with pytest.raises(MalformedError, match="base64"):
        read_base64("ä", where="this")


def test_what_is_read_can_be_written_and_what_is_written_can_be_read() -> None:
    """At the limits, too: otherwise a witness could sign what nobody can read afterwards."""
    line = NoteSignature("junk", bytes(4), bytes(64))
    for text in ("x" * (LARGEST_TEXT_BYTES - 1), "ü" * (LARGEST_TEXT_BYTES // 2 - 1) + "x"):
        note = SignedNote(f"{text}\n", (line,) * MOST_SIGNATURES)
        assert read_note(write_note(note)) == note
        longer = f"x{note.text}\n{line}".encode()
        with pytest.raises(MalformedError, match="text has more than"):
            read_note(longer)
        with pytest.raises(InputError, match="at most 131072 bytes"):
            sign(f"x{note.text}", "log", KEY)
    with pytest.raises(InputError, match="not 101"):
        write_note(SignedNote("text\n", (line,) * (MOST_SIGNATURES + 1)))
    with pytest.raises(InputError, match="at most 262144 are read"):
        write_note(SignedNote("text\n", (NoteSignature("junk", bytes(4), bytes(LARGEST_NOTE_BYTES)),)))
