from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import MalformedError, SignatureError
from edgekit.seal.dsse import sign_envelope
from edgekit.seal.keys import MemoryKey, generate
from edgekit.seal.statement import (
    PAYLOAD_TYPE,
    Statement,
    Subject,
    open_statement,
    read_statement,
    sign_statement,
)

SHA256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
STATEMENTS = st.builds(
    Statement,
    st.lists(st.builds(Subject, TEXTS, SHA256), min_size=1, max_size=4).map(tuple),
    TEXTS,
    st.dictionaries(TEXTS, JSON, max_size=4),
)
SAID = Statement((Subject("model.onnx", "ab" * 32),), "https://example.org/said/v1", {"a": [1, None]})


@given(STATEMENTS)
def test_a_statement_comes_back(said: Statement) -> None:
    """Law: read_statement(statement.to_bytes()) == statement."""
    assert read_statement(said.to_bytes(), where="it") == said


@given(said=STATEMENTS)
def test_what_is_said_is_read_only_if_it_was_signed(said: Statement) -> None:
    """Law: open_statement(sign_statement(said, key), [key.public]) == (said, key.public)."""
    key = generate("ed25519")
    envelope = sign_statement(said, key)
    assert open_statement(envelope, [key.public], where="it") == (said, key.public)
    with pytest.raises(SignatureError):
        open_statement(envelope, [generate("ed25519").public], where="it")


def test_signed_bytes_of_another_type_are_no_statement(node: MemoryKey) -> None:
    envelope = sign_envelope(SAID.to_bytes(), "application/json", node)
    with pytest.raises(MalformedError, match=f"holds 'application/json' where '{PAYLOAD_TYPE}'".replace("+", r"\+")):
        open_statement(envelope, [node.public], where="it")


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(SAID.to_bytes()), **fields}).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"7", "no in-toto Statement"),
        (changed(_type="https://in-toto.io/Statement/v0.1"), "no in-toto Statement"),
        (changed(subject=[]), "1 to 4096 subjects"),
        (changed(subject=None), "1 to 4096 subjects"),
        (changed(subject=[{"name": "x"}]), "no name and digest"),
        (changed(subject=[{"name": "x", "digest": {"sha512": "00"}}]), "digest.sha256 is no text"),
        (changed(subject=[{"name": "x", "digest": {"sha256": "AB" * 32}}]), "is no sha256"),
        (changed(subject=[{"name": "", "digest": {"sha256": "ab" * 32}}]), "name is no text"),
        (changed(subject=[{"name": 7, "digest": {"sha256": "ab" * 32}}]), "name is no text"),
        (changed(predicateType=""), "predicateType is no text"),
        (changed(predicate=[]), "predicate is no JSON object"),
        (b'{"_type":1,"_type":2}', "twice"),
    ],
)
def test_what_is_no_statement_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        read_statement(text, where="it")


def test_fields_of_later_versions_are_left_out() -> None:
    """in-toto's parsing rules: what is not known does not matter."""
    assert read_statement(changed(later={"x": 1}), where="it") == SAID
    more = [{"name": "model.onnx", "digest": {"sha256": "ab" * 32, "sha512": "x"}, "uri": "file:x"}]
    assert read_statement(changed(subject=more), where="it") == SAID
