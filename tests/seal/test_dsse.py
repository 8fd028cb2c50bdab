from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, MalformedError, SignatureError
from edgekit.seal.dsse import LARGEST_PAYLOAD_BYTES, Envelope, pae, read_envelope, sign_envelope
from edgekit.seal.keys import KINDS, MemoryKey, generate

KEYS = {kind: generate(kind) for kind in KINDS}
TYPES = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=60)


@given(payload=st.binary(max_size=500), kind=TYPES, key=st.sampled_from(list(KEYS.values())))
def test_an_envelope_comes_back_and_its_key_verifies(payload: bytes, kind: str, key: MemoryKey) -> None:
    """Laws: read_envelope(e.to_json()) == e; sign_envelope(p, t, key).verified_by([key.public]) == key.public."""
    envelope = sign_envelope(payload, kind, key)
    again = read_envelope(envelope.to_json(), where="it")
    assert again == envelope
    assert again.to_json() == envelope.to_json()
    assert again.verified_by([generate("p256").public, key.public]) == key.public


def test_every_flipped_byte_is_refused() -> None:
    for key in KEYS.values():
        text = sign_envelope(b'{"a": 1}', "application/json", key).to_json()
        for place in range(len(text)):
            for bit in (1, 32, 128):
                broken = bytearray(text)
                broken[place] ^= bit
                with pytest.raises((MalformedError, SignatureError)):
                    read_envelope(bytes(broken), where="it").verified_by([key.public])


@given(st.integers(0), st.integers(0, 400))
def test_every_cut_is_refused(start: int, length: int) -> None:
    text = sign_envelope(b"payload", "text/plain", KEYS["ed25519"]).to_json()
    start %= len(text)
    cut = text[:start] + text[start + length + 1 :]
    with pytest.raises((MalformedError, SignatureError)):
        read_envelope(cut, where="it").verified_by([KEYS["ed25519"].public])


def test_the_encoding_is_that_of_the_protocol() -> None:
    """The test vector of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("", b"") == b"DSSEv1 0  0 "
    assert pae("é", b"\0") == b"DSSEv1 2 \xc3\xa9 1 \0"


def test_bytes_signed_as_one_type_do_not_pass_for_another() -> None:
    signed = sign_envelope(b"payload", "type/one", KEYS["p256"])
    other = Envelope(signed.payload, "type/other", signed.signatures)
    with pytest.raises(SignatureError):
        other.verified_by([KEYS["p256"].public])


def test_a_type_cannot_reach_into_the_payload() -> None:
    """A signature over ("a 1 b", "c") is none over ("a", " ..."), though the texts look alike when joined."""
    signed = sign_envelope(b"c", "a 1 b", KEYS["p256"])
    with pytest.raises(SignatureError):
        Envelope(b"b 1 c", "a", signed.signatures).verified_by([KEYS["p256"].public])


def test_nobody_and_strangers_are_not_trusted() -> None:
    signed = sign_envelope(b"payload", "text/plain", KEYS["p256"])
    stranger = generate("p256").public
    with pytest.raises(SignatureError, match="trusted: none"):
        signed.verified_by([])
    with pytest.raises(SignatureError, match=f"trusted: {stranger}, {KEYS['ed25519'].public}"):
        signed.verified_by([stranger, KEYS["ed25519"].public])


def test_one_of_several_signatures_is_enough() -> None:
    one, two = (sign_envelope(b"payload", "text/plain", key) for key in KEYS.values())
    both = Envelope(one.payload, one.payload_type, one.signatures + two.signatures)
    for key in KEYS.values():
        assert both.verified_by([key.public]) == key.public


def changed(**fields: Any) -> bytes:
    value: dict[str, Any] = json.loads(sign_envelope(b"payload", "text/plain", KEYS["p256"]).to_json())
    return json.dumps({**value, **fields}).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no strict JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "lacks 'payload'"),
        (changed(more=1), "has 'more'"),
        (changed(payload=7), "no text"),
        (changed(payload="!!!!"), "no base64"),
        (changed(payload="YQ="), "no base64"),
        (changed(payload="YR=="), "no canonical base64"),
        (changed(payload="YQ==\n"), "base64"),
        (changed(payload="-_8="), "no base64"),
        (changed(payload="YQ==é"), "no base64"),
        (changed(payloadType=""), "payloadType"),
        (changed(payloadType="x" * 300), "payloadType"),
        (changed(payloadType=None), "payloadType"),
        (changed(signatures=[]), "1 to 16 signatures"),
        (changed(signatures={}), "1 to 16 signatures"),
        (changed(signatures=[{"sig": ""}] * 17), "1 to 16 signatures"),
        (changed(signatures=[7]), "signature 0 is no JSON object"),
        (changed(signatures=[{"sig": "", "keyid": "x"}]), "keyid is not empty"),
        (changed(signatures=[{"keyid": ""}]), "lacks 'sig'"),
        (changed(signatures=[{"sig": "", "cert": ""}]), "has 'cert'"),
        (b'{"payload":"","payload":"YQ==","payloadType":"a","signatures":[{"sig":""}]}', "twice"),
        (b" " * 1_600_000, "at most"),
    ],
)
def test_what_is_no_envelope_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        read_envelope(text, where="it")


def test_a_payload_that_could_not_be_read_again_is_not_signed() -> None:
    largest = sign_envelope(bytes(LARGEST_PAYLOAD_BYTES), "text/plain", KEYS["ed25519"])
    assert read_envelope(largest.to_json(), where="it") == largest
    with pytest.raises(MalformedError, match="too many"):
        sign_envelope(bytes(LARGEST_PAYLOAD_BYTES + 1), "text/plain", KEYS["ed25519"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_an_envelope_or_refused(value: Any) -> None:
    try:
        found = read_envelope(json.dumps(value).encode(), where="it")
    except EdgekitError:
        return
    assert isinstance(found, Envelope)


def test_an_envelope_of_another_implementation_verifies() -> None:
    """Made by hand after the protocol, with an ed25519 key of the library itself."""
    key = Ed25519PrivateKey.generate()
    signature = key.sign(b"DSSEv1 10 text/plain 5 hello")
    text = json.dumps(
        {
            "payloadType": "text/plain",
            "payload": base64.b64encode(b"hello").decode(),
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        }
    ).encode()
    assert read_envelope(text, where="it").verified_by([MemoryKey(key).public]).kind == "ed25519"
