from __future__ import annotations

import datetime

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, Root

from edgekit.seal.keys import KINDS, KeyKind, MemoryKey, PublicKey, generate
from edgekit.seal.tuf_signer import tuf_key, tuf_signer


@pytest.mark.parametrize("kind", KINDS)
def test_the_tuf_library_verifies_what_our_key_signs(kind: KeyKind) -> None:
    """Law: tuf_key(key.public).verify_signature(tuf_signer(key).sign(data), data) does not raise."""
    key = generate(kind)
    signature = tuf_signer(key).sign(b"metadata")
    tuf_key(key.public).verify_signature(signature, b"metadata")
    with pytest.raises(UnverifiedSignatureError):
        tuf_key(key.public).verify_signature(signature, b"Metadata")
    with pytest.raises(UnverifiedSignatureError):
        tuf_key(generate(kind).public).verify_signature(signature, b"metadata")


def test_the_names_are_those_of_the_library_itself(node: MemoryKey, publisher: MemoryKey) -> None:
    for key in (node, publisher):
        assert tuf_signer(key).public_key == tuf_key(key.public)
    theirs = CryptoSigner.generate_ecdsa()
    pem = theirs.public_key.keyval["public"]
    assert tuf_key(PublicKey.from_pem(pem)).keyid == theirs.public_key.keyid
    assert (tuf_key(node.public).keytype, tuf_key(publisher.public).scheme) == ("ed25519", "ecdsa-sha2-nistp256")


def test_a_root_signed_by_both_kinds_reaches_its_threshold(node: MemoryKey, publisher: MemoryKey) -> None:
    root = Root(expires=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
    for key in (node, publisher):
        root.add_key(tuf_key(key.public), "root")
    root.roles["root"].threshold = 2
    metadata = Metadata(root)
    metadata.sign(tuf_signer(node))
    metadata.sign(tuf_signer(publisher), append=True)
    read: Metadata[Root] = Metadata.from_bytes(metadata.to_bytes())
    assert read.signed.get_verification_result("root", read.signed_bytes, read.signatures).verified
    assert all(isinstance(key, SSlibKey) for key in read.signed.keys.values())
