from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.seal.keys import KINDS, KeyKind, generate
from edgekit.seal.pkcs8 import encrypted_pem, plain_pem


@settings(max_examples=5)
@given(passphrase=st.binary(min_size=1, max_size=100), kind=st.sampled_from(KINDS))
def test_another_library_reads_what_was_encrypted(passphrase: bytes, kind: KeyKind) -> None:
    key = generate(kind)
    pem = encrypted_pem(key.to_pkcs8(), passphrase)
    read = load_pem_private_key(pem, passphrase)
    assert read.public_key() == load_pem_private_key(plain_pem(key.to_pkcs8()), None).public_key()
    with pytest.raises(ValueError, match="password"):
        load_pem_private_key(pem, passphrase + b"x")


def test_no_two_encryptions_are_the_same_and_none_shows_the_key() -> None:
    secret = generate("p256").to_pkcs8()
    first, second = encrypted_pem(secret, b"one"), encrypted_pem(secret, b"one")
    assert first != second
    assert plain_pem(secret).split(b"\n")[1] not in first


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")
@pytest.mark.parametrize("kind", KINDS)
def test_openssl_reads_it_and_sees_scrypt(kind: KeyKind, tmp_path: Path) -> None:
    key = generate(kind)
    file = tmp_path / "it.key"
    file.write_bytes(encrypted_pem(key.to_pkcs8(), b"correct horse"))

    def openssl(*words: str) -> str:
        return subprocess.run(["openssl", *words], capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    assert openssl("pkey", "-in", "it.key", "-passin", "pass:correct horse", "-pubout") == key.public.pem
    described = openssl("asn1parse", "-in", "it.key")
    assert ":scrypt" in described
    assert ":aes-256-cbc" in described
