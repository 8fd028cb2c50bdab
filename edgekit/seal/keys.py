"""Keys: P-256 for model signatures, which other people's tools verify; ed25519 for channels and nodes.

A public key is known by three names: its fingerprint, its did:key, and the hint that a model signature carries. A
private key does one thing, it signs; where it is (in memory, in a token) and its bytes are nobody's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NoReturn, TypeAlias

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from edgekit import digest
from edgekit.errors import EdgekitError, KeyFileError, SignatureError
from edgekit.seal.did import read_did, write_did

KeyKind: TypeAlias = Literal["p256", "ed25519"]
KINDS: tuple[KeyKind, ...] = ("p256", "ed25519")
LONGEST_PEM = 4096
"""Characters of a public key's text that are looked at; one of ours has less than 200."""
_PUBLIC_LABEL = "-----BEGIN PUBLIC KEY-----"

_Public: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey
_Private: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True)
class PublicKey:
    """What verifies a signature. Made by `from_pem` or `from_did`, so that equal keys are equal.

    Attributes:
        kind: "p256" (NIST P-256, ECDSA with SHA-256) or "ed25519".
        pem: SubjectPublicKeyInfo as PEM text, ends with a line feed.
    """

    kind: KeyKind
    pem: str

    @staticmethod
    def from_pem(text: str) -> PublicKey:
        """Read SubjectPublicKeyInfo in PEM.

        Raises:
            KeyFileError: It is something else, or a key of another kind.
        """
        found = text.strip()
        if len(found) > LONGEST_PEM or not found.startswith(_PUBLIC_LABEL):
            raise KeyFileError("this is no public key in PEM", hint=f"its first line has to be {_PUBLIC_LABEL}")
        try:
            key = load_pem_public_key(found.encode())
        except (ValueError, UnsupportedAlgorithm, InternalError) as error:
            raise KeyFileError(f"this public key cannot be read: {error}") from error
        return of_cryptography(key)

    @staticmethod
    def from_did(did: str) -> PublicKey:
        """Read a did:key, as nodes name themselves.

        Raises:
            KeyFileError: It is something else, or of a key of another kind.

        Law: PublicKey.from_did(key.did) == key.
        """
        kind, raw = read_did(did)
        try:
            if kind == "p256":
                return of_cryptography(EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw))
            return of_cryptography(Ed25519PublicKey.from_public_bytes(raw))
        except (ValueError, InternalError) as error:
            raise KeyFileError(f"{did[:80]} holds no key: {error}") from error

    @property
    def fingerprint(self) -> str:
        """sha256 of the key's DER, lower-case hex: how edgekit names it everywhere."""
        return digest.of_bytes(self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def hint(self) -> str:
        """sha256 of the PEM text, lower-case hex: how an OpenSSF model signature names it."""
        return digest.of_bytes(self.pem.encode())

    @property
    def did(self) -> str:
        """As a decentralized identifier, "did:key:z..." (W3C did:key, multicodec)."""
        if isinstance(self._key, EllipticCurvePublicKey):
            return write_did("p256", self._key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))
        return write_did("ed25519", self._key.public_bytes_raw())

    def verify(self, signature: bytes, data: bytes) -> None:
        """Do nothing where `signature` is this key's over `data`.

        Args:
            signature: 64 bytes of ed25519, or an ECDSA signature in DER.
            data: What was signed.

        Raises:
            SignatureError: It is not.
        """
        try:
            if isinstance(self._key, EllipticCurvePublicKey):
                self._key.verify(signature, data, ECDSA(SHA256()))
            else:
                self._key.verify(signature, data)
        except InvalidSignature as error:
            raise SignatureError(f"this is no signature by {self}", hint="the data or the signature changed") from error

    def __str__(self) -> str:
        """For messages: kind and the first digits of the fingerprint."""
        return f"{self.kind}:{self.fingerprint[:16]}"

    @cached_property
    def _key(self) -> _Public:
        return _supported(load_pem_public_key(self.pem.encode()))


class PrivateKey(ABC):
    """What signs. It never shows what it holds: not in `repr`, not to `pickle`.

    Attributes:
        public: The key that verifies.
    """

    public: PublicKey

    @abstractmethod
    def sign(self, data: bytes) -> bytes:
        """Sign some bytes, of any length.

        Returns:
            64 bytes of ed25519, or an ECDSA signature in DER.

        Law: key.public.verify(key.sign(data), data) does not raise.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.public}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not copied or pickled")


class MemoryKey(PrivateKey):
    """A private key in this process's memory. Equal data gives equal signatures: ECDSA after RFC 6979."""

    def __init__(self, secret: _Private) -> None:
        self._secret = secret
        self.public = of_cryptography(secret.public_key())

    def sign(self, data: bytes) -> bytes:
        """As PrivateKey.

        Raises:
            EdgekitError: The OpenSSL below `cryptography` is too old for RFC 6979.
        """
        if isinstance(self._secret, Ed25519PrivateKey):
            return self._secret.sign(data)
        try:
            return self._secret.sign(data, ECDSA(SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm as error:
            raise EdgekitError(
                "this build of 'cryptography' cannot make ECDSA signatures that are the same each time",
                hint="install its wheel, which brings OpenSSL 3.2 or later: pip install --upgrade cryptography",
            ) from error

    def to_pkcs8(self) -> bytes:
        """The secret itself, PKCS #8 in DER, not encrypted; only `key_files` has business with it."""
        return self._secret.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def generate(kind: KeyKind) -> MemoryKey:
    """A new key, from the operating system's random numbers."""
    return MemoryKey(generate_private_key(SECP256R1()) if kind == "p256" else Ed25519PrivateKey.generate())


def of_cryptography(key: object) -> PublicKey:
    """A public key of the library `cryptography`.

    Raises:
        KeyFileError: It is neither P-256 nor ed25519.
    """
    known = _supported(key)
    kind: KeyKind = "p256" if isinstance(known, EllipticCurvePublicKey) else "ed25519"
    return PublicKey(kind, known.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def describe_kind(key: object) -> str:
    """What kind of key an object of `cryptography` is, public or private: "P-256", "secp384r1", "RSA"."""
    curve = getattr(key, "curve", None)
    if curve is not None:
        return "P-256" if isinstance(curve, SECP256R1) else str(curve.name)
    name = type(key).__name__
    return name.removesuffix("PublicKey").removesuffix("PrivateKey").lstrip("_")


def _supported(key: object) -> _Public:
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise KeyFileError(
        f"this is a key of the kind {describe_kind(key)}; edgekit uses P-256 and ed25519",
        hint="make one with: edgekit keys new NAME",
    )
