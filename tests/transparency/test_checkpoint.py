"""Checkpoints: the specification's example, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, SignatureError
from edgekit.seal.keys import generate
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint
from edgekit.transparency.merkle import EMPTY_ROOT
from edgekit.transparency.note import SignedNote, VerifierKey, sign, write_note

SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
KEY = generate("ed25519")
LOG = VerifierKey("example.org/log", KEY.public)
HEAD = Checkpoint(LOG.name, 3, bytes(32))

lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)


def test_the_example_of_the_specification() -> None:
    found = read_checkpoint(SOFA)
    assert (found.origin, found.size, found.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert found.text == SOFA


@given(origin=lines, size=st.integers(1, 2**63 - 1), root=st.binary(min_size=32, max_size=32), more=st.lists(lines))
def test_what_is_written_is_read_again(origin: str, size: int, root: bytes, more: list[str]) -> None:
    head = Checkpoint(origin, size, root, tuple(more))
    assert read_checkpoint(head.text) == head


def test_a_signed_one_opens_with_its_logs_key_alone() -> None:
    note = sign_checkpoint(HEAD, KEY)
    assert open_checkpoint(note, LOG) == open_checkpoint(write_note(note), LOG) == HEAD
    with pytest.raises(SignatureError):
        open_checkpoint(note, VerifierKey(LOG.name, generate("ed25519").public))
    other = SignedNote(SOFA, (sign(SOFA, LOG.name, KEY),))
    with pytest.raises(SignatureError, match="another log"):
        open_checkpoint(other, LOG)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        SOFA[:-1],
        SOFA + "\n",
        SOFA + "a\n\nb\n",
        "\n" + SOFA,
        SOFA.replace("20852163", "020852163"),
        SOFA.replace("20852163", "-1"),
        SOFA.replace("20852163", "+1"),
        SOFA.replace("20852163", "1e3"),
        SOFA.replace("20852163", "٣"),
        SOFA.replace("20852163", str(2**63)),
        SOFA.replace("20852163", "9" * 5000),
        SOFA.replace("20852163", "0"),
        SOFA.replace("q2I=", "q2J="),
        SOFA.replace("q2I=", "q2I"),
        SOFA.replace("CsUY", "CsUYCsUY"),
        "a\n1\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(MalformedError):
        read_checkpoint(text)


def test_what_a_log_does_not_sign() -> None:
    for head in (
        Checkpoint("a b", 1, bytes(32)),
        Checkpoint("a", 1, bytes(31)),
        Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 0, bytes(32)),
        Checkpoint("a", 1, bytes(32), ("",)),
        Checkpoint("a", 1, bytes(32), ("b\nc", "")),
    ):
        with pytest.raises(InputError):
            sign_checkpoint(head, KEY)
    with pytest.raises(InputError):
        sign_checkpoint(HEAD, generate("p256"))
    assert open_checkpoint(sign_checkpoint(Checkpoint(LOG.name, 0, EMPTY_ROOT), KEY), LOG).size == 0
