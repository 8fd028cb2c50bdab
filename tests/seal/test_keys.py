from __future__ import annotations

import copy
import pickle
import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cli import keys as cli_keys
from edgekit.errors import KeyFileError, SignatureError
from edgekit.seal.did import write_did
from edgekit.seal.keys import KINDS, KeyKind, MemoryKey, PublicKey, generate, of_cryptography

RFC6979 = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
KEYS = {kind: generate(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=200), change=st.integers(1, 255), where=st.integers(0))
def test_what_is_signed_verifies_and_nothing_else(kind: KeyKind, data: bytes, change: int, where: int) -> None:
    """Law: key.public.verify(key.sign(data), data); one byte changed, in either, is refused."""
    key = KEYS[kind]
    signature = key.sign(data)
    key.public.verify(signature, data)
    place = where % (len(signature) + len(data))
    both = bytearray(signature + data)
    both[place] ^= change
    with pytest.raises(SignatureError, match="no signature by"):
        key.public.verify(bytes(both[: len(signature)]), bytes(both[len(signature) :]))


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_does_not_verify(kind: KeyKind) -> None:
    with pytest.raises(SignatureError):
        generate(kind).public.verify(KEYS[kind].sign(b"data"), b"data")


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\xff" * 5000])
@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_is_no_signature(kind: KeyKind, signature: bytes) -> None:
    with pytest.raises(SignatureError):
        KEYS[kind].public.verify(signature, b"data")


def test_ecdsa_signatures_are_those_of_rfc_6979() -> None:
    """Appendix A.2.5: P-256, SHA-256, the message "sample"."""
    key = MemoryKey(ec.derive_private_key(RFC6979, ec.SECP256R1()))
    assert decode_dss_signature(key.sign(b"sample")) == (
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    )


def test_ed25519_signatures_are_those_of_rfc_8032() -> None:
    """Section 7.1, test 1: the empty message."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    assert MemoryKey(Ed25519PrivateKey.from_private_bytes(secret)).sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )


def test_identifiers_are_those_of_the_did_key_method() -> None:
    """Test vectors of the method: the ed25519 seed of 32 zeros, and a P-256 key."""
    zeros = MemoryKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert zeros.public.did == "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    secret = int("80f87e56f552f0c6ef290f4b4955667e7c672a31e7e13aa3d1b99ba5e8519697", 16)
    point = MemoryKey(ec.derive_private_key(secret, ec.SECP256R1()))
    assert point.public.did == "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_the_same_by_each_of_its_names(kind: KeyKind) -> None:
    """Laws: from_did(key.did) == key and from_pem(key.pem) == key."""
    for _ in range(20):
        public = generate(kind).public
        assert PublicKey.from_did(public.did) == public == PublicKey.from_pem(public.pem)
        assert public.kind == kind
        assert len(public.fingerprint) == len(public.hint) == 64


def test_white_space_and_line_ends_do_not_make_another_key() -> None:
    public = KEYS["p256"].public
    assert PublicKey.from_pem("\n" + public.pem.replace("\n", "\r\n") + "\n\n").hint == public.hint


@pytest.mark.parametrize(
    "did",
    [
        "",
        "did:key:z",
        "did:web:example.org",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
        "did:key:z" + "1" * 100_000,
        "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU216é",
    ],
)
def test_what_is_no_identifier_of_ours_is_refused(did: str) -> None:
    with pytest.raises(KeyFileError):
        PublicKey.from_did(did)


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(KeyFileError, match="holds no key"):
        PublicKey.from_did(write_did("p256", b"\x02" + b"\xff" * 32))


def test_a_point_in_its_longer_form_is_no_second_name_of_a_key() -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(KeyFileError, match="neither ed25519 nor P-256"):
        PublicKey.from_did(write_did("p256", point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_a_text_that_is_no_key_is_refused_whatever_it_is(text: str) -> None:
    for read in (PublicKey.from_pem, PublicKey.from_did):
        for found in (text, "did:key:z" + text, "-----BEGIN PUBLIC KEY-----\n" + text):
            with pytest.raises(KeyFileError):
                read(found)


def test_keys_of_other_kinds_are_named_and_refused() -> None:
    for made, name in (
        (ec.generate_private_key(ec.SECP384R1()).public_key(), "secp384r1"),
        (rsa.generate_private_key(65537, 2048).public_key(), "RSA"),
        (x25519.X25519PrivateKey.generate().public_key(), "X25519"),
    ):
        with pytest.raises(KeyFileError, match=f"of the kind {name}"):
            of_cryptography(made)
        pem = made.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(KeyFileError, match=f"of the kind {name}"):
            PublicKey.from_pem(pem)


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_shows_nothing_of_itself(kind: KeyKind) -> None:
    key = KEYS[kind]
    secret = key.to_pkcs8()
    try:
        raise ValueError(key, {"key": key})
    except ValueError as error:
        told = "".join(traceback.format_exception(error))
    for shown in (repr(key), str(key), f"{key}", told, repr(key.public), str(key.public)):
        assert secret.hex() not in shown
        assert secret[36:68].hex() not in shown
        assert str(int.from_bytes(secret[36:68])) not in shown
    assert repr(key) == f"<MemoryKey {key.public}>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_is_neither_pickled_nor_copied(kind: KeyKind) -> None:
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not copied or pickled"):
            take(KEYS[kind])


def test_the_command_line_knows_the_same_kinds() -> None:
    assert cli_keys.KINDS == KINDS
