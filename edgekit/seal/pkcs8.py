"""Encryption of private keys at rest: PKCS #8 under PBES2 (RFC 8018), with scrypt (RFC 7914) and AES-256-CBC.

Any tool that reads encrypted PKCS #8 reads it: OpenSSL, `cryptography`, stock `model_signing`. It is written here
because `cryptography` itself writes PBKDF2 with 2048 rounds only, which a graphics card tries a million times a second.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 5
"""16 MiB and about 0.2 s per try: one of OWASP's five equally strong settings, within OpenSSL's default of 32 MiB."""
_SCRYPT_BYTES = 64 * 2**20
_BLOCK_BYTES = 16

_OID_PBES2 = bytes.fromhex("2a864886f70d01050d")
_OID_SCRYPT = bytes.fromhex("2b06010401da47040b")
_OID_AES256_CBC = bytes.fromhex("60864801650304012a")
_SEQUENCE, _OCTET_STRING, _OBJECT, _INTEGER = 0x30, 0x04, 0x06, 0x02


def plain_pem(der: bytes) -> bytes:
    """A PKCS #8 private key as PEM, as it is."""
    return _pem("PRIVATE KEY", der)


def encrypted_pem(der: bytes, passphrase: bytes) -> bytes:
    """A PKCS #8 private key as PEM, encrypted; other bytes each time.

    Args:
        der: PrivateKeyInfo.
        passphrase: Not empty.
    """
    salt, start = secrets.token_bytes(16), secrets.token_bytes(_BLOCK_BYTES)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=_SCRYPT_BYTES, dklen=AES256.key_size // 8
    )
    padding = _BLOCK_BYTES - len(der) % _BLOCK_BYTES
    encryptor = Cipher(AES256(key), CBC(start)).encryptor()
    hidden = encryptor.update(der + bytes([padding]) * padding) + encryptor.finalize()
    costs = b"".join(_integer(number) for number in (SCRYPT_N, SCRYPT_R, SCRYPT_P))
    derivation = _der(_SEQUENCE, _der(_OBJECT, _OID_SCRYPT), _der(_SEQUENCE, _der(_OCTET_STRING, salt), costs))
    cipher = _der(_SEQUENCE, _der(_OBJECT, _OID_AES256_CBC), _der(_OCTET_STRING, start))
    scheme = _der(_SEQUENCE, _der(_OBJECT, _OID_PBES2), _der(_SEQUENCE, derivation, cipher))
    return _pem("ENCRYPTED PRIVATE KEY", _der(_SEQUENCE, scheme, _der(_OCTET_STRING, hidden)))


def _der(tag: int, *parts: bytes) -> bytes:
    """One value in DER: tag, length, content."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(number: int) -> bytes:
    """A number above 0; a first bit that is set would make it negative, so there is room for another."""
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _pem(label: str, der: bytes) -> bytes:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()
