from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, KeyFileError, MalformedError, SignatureError
from edgekit.seal.dsse import Envelope
from edgekit.seal.keys import MemoryKey, PublicKey, generate
from edgekit.seal.sigstore_bundle import MEDIA_TYPE, open_sealed, seal_statement
from edgekit.seal.statement import Statement, Subject, sign_statement

SAID = Statement((Subject("model.onnx", "ab" * 32),), "https://slsa.dev/provenance/v1", {"a": 1})
KEY = generate("p256")
SEALED = seal_statement(SAID, KEY)


def opened(data: bytes, *keys: PublicKey) -> tuple[Statement, PublicKey]:
    return open_sealed(data, keys or (KEY.public,), where="it")


def test_what_was_sealed_is_opened_and_sealed_alike_again(stranger: MemoryKey, node: MemoryKey) -> None:
    """Law: open_sealed(seal_statement(said, key), [key.public]) == (said, key.public)."""
    assert opened(SEALED) == (SAID, KEY.public)
    assert opened(SEALED, node.public, stranger.public, KEY.public) == (SAID, KEY.public)
    assert seal_statement(SAID, KEY) == SEALED


def test_every_flipped_byte_is_refused() -> None:
    """Law: with one byte changed, MalformedError or SignatureError is raised."""
    for place in range(len(SEALED)):
        broken = bytearray(SEALED)
        broken[place] ^= 1 << (place % 8)
        with pytest.raises((MalformedError, SignatureError)):
            opened(bytes(broken))


@given(place=st.integers(0, len(SEALED) - 1), change=st.integers(1, 255))
def test_every_changed_byte_is_refused(place: int, change: int) -> None:
    broken = bytearray(SEALED)
    broken[place] ^= change
    with pytest.raises((MalformedError, SignatureError)):
        opened(bytes(broken))


def test_another_key_and_no_key_are_refused(stranger: MemoryKey) -> None:
    with pytest.raises(SignatureError, match=f"trusted: {stranger.public}"):
        opened(SEALED, stranger.public)
    with pytest.raises(SignatureError, match="trusted: none"):
        open_sealed(SEALED, [], where="it")


def test_ed25519_is_refused_on_both_sides(node: MemoryKey) -> None:
    with pytest.raises(KeyFileError, match="signed with P-256 keys") as caught:
        seal_statement(SAID, node)
    assert "--type p256" in caught.value.hint
    with pytest.raises(SignatureError, match="P-256 keys; what is trusted is ed25519"):
        opened(SEALED, node.public)
    forged = changed(dsseEnvelope=sign_statement(SAID, node).to_dict(), hint=node.public.hint)
    with pytest.raises(SignatureError):
        opened(forged, node.public, KEY.public)


def changed(*, hint: object = KEY.public.hint, **fields: Any) -> bytes:
    value: dict[str, Any] = json.loads(SEALED)
    value["verificationMaterial"]["publicKey"]["hint"] = hint
    return json.dumps({**value, **fields}).encode()


def material(**fields: Any) -> dict[str, Any]:
    return {"publicKey": {"hint": KEY.public.hint}, "tlogEntries": [], **fields}


def test_a_hint_at_another_key_is_refused(stranger: MemoryKey) -> None:
    """The signature would verify with KEY, which is trusted; but it says that it is the stranger's."""
    with pytest.raises(SignatureError, match="no signature by a trusted key"):
        opened(changed(hint=stranger.public.hint))
    with pytest.raises(SignatureError, match="no signature by a trusted key"):
        opened(changed(hint=stranger.public.hint), KEY.public, stranger.public)


def test_a_second_signature_is_refused(stranger: MemoryKey) -> None:
    ours, theirs = sign_statement(SAID, KEY), sign_statement(SAID, stranger)
    for signatures in (ours.signatures + theirs.signatures, theirs.signatures + ours.signatures, ours.signatures * 2):
        both = Envelope(ours.payload, ours.payload_type, signatures)
        with pytest.raises(MalformedError, match="2 signatures; exactly one"):
            opened(changed(dsseEnvelope=both.to_dict()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"null", "no JSON object"),
        (changed(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"), "no sigstore bundle v0.3"),
        (changed(more=1), "has 'more'"),
        (changed(messageSignature={}), "has 'messageSignature'"),
        (changed(verificationMaterial=7), "no JSON object"),
        (changed(verificationMaterial={"certificate": {}}), "lacks 'publicKey'"),
        (changed(verificationMaterial=material(certificate={})), "has 'certificate'"),
        (changed(verificationMaterial=material(tlogEntries=[{}])), "log entries"),
        (changed(verificationMaterial=material(tlogEntries={})), "log entries"),
        (changed(verificationMaterial=material(publicKey={})), "lacks 'hint'"),
        (changed(hint=None), "hint is no text"),
        (changed(hint=""), "no sha256"),
        (changed(hint=KEY.public.hint.upper()), "no sha256"),
        (changed(dsseEnvelope=[]), "no JSON object"),
        (SEALED[:-1], "no strict JSON"),
        (SEALED + b"x", "no strict JSON"),
        (b"[" * 5000, "nested deeper"),
        (b" " * 2_000_000, "at most"),
    ],
)
def test_what_is_no_bundle_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        opened(text)


def test_a_bundle_may_lack_what_says_nothing() -> None:
    """Tools write an empty list and an empty key id, or leave them out."""
    assert opened(changed(verificationMaterial={"publicKey": {"hint": KEY.public.hint}}))[1] == KEY.public


def test_the_form_is_that_of_other_tools() -> None:
    value = json.loads(SEALED)
    assert value["mediaType"] == MEDIA_TYPE == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert value["verificationMaterial"] == material()
    assert value["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(base64.b64decode(value["dsseEnvelope"]["payload"]))["predicateType"] == SAID.predicate_type
    assert len(value["dsseEnvelope"]["signatures"]) == 1


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: b'{"mediaType":"' + text.encode() + b'"'))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EdgekitError):
        opened(data)
