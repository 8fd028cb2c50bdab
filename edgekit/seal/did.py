"""did:key, the identifier of a public key that is the key itself (W3C CCG, "The did:key Method v0.7").

"did:key:" and multibase "z" (base58btc) of a multicodec prefix and the key: 32 bytes of ed25519, or a P-256 point,
compressed, 33 bytes.
"""

from __future__ import annotations

from typing import Literal

from edgekit.errors import KeyFileError

_SCHEME = "did:key:z"
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LONGEST = 128
_PREFIXES: dict[Literal["p256", "ed25519"], tuple[bytes, int]] = {
    "ed25519": (b"\xed\x01", 32),
    "p256": (b"\x80\x24", 33),
}
"""kind -> multicodec code as a varint, and how many bytes of key follow."""


def write_did(kind: Literal["p256", "ed25519"], raw: bytes) -> str:
    """The did:key of a key's bytes.

    >>> write_did("ed25519", bytes(32))
    'did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP'
    """
    return _SCHEME + _base58(_PREFIXES[kind][0] + raw)


def read_did(did: str) -> tuple[Literal["p256", "ed25519"], bytes]:
    """Kind and bytes of the key in a did:key.

    Raises:
        KeyFileError: It is no did:key, or of a kind that edgekit does not use.

    Law: read_did(write_did(kind, raw)) == (kind, raw).
    """
    text = did.removeprefix(_SCHEME)
    if text == did or not text or len(text) > _LONGEST or set(text) - set(_ALPHABET):
        raise KeyFileError(f"{did[:80]!r} is no did:key", hint="it looks like did:key:z6Mk... or did:key:zDn...")
    data = _unbase58(text)
    for kind, (prefix, length) in _PREFIXES.items():
        if data.startswith(prefix) and len(data) == len(prefix) + length:
            return kind, data[len(prefix) :]
    raise KeyFileError(f"{did[:80]} holds a key that is neither ed25519 nor P-256")


def _base58(data: bytes) -> str:
    number, digits = int.from_bytes(data), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _unbase58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + _ALPHABET.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
