"""Our keys as the TUF library knows keys: one key, one signature, two sets of names."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import (  # type: ignore[attr-defined]  # its __init__ imports without exporting
    Key,
    SecretsHandler,
    Signature,
    Signer,
    SSlibKey,
)

from edgekit.seal.keys import PrivateKey, PublicKey


def tuf_key(key: PublicKey) -> SSlibKey:
    """A public key as TUF metadata lists it; its key id is the library's, sha256 of the key's canonical JSON."""
    return SSlibKey.from_crypto(load_pem_public_key(key.pem.encode()))


def tuf_signer(key: PrivateKey) -> Signer:
    """A private key as python-tuf signs with it; in memory or in a token.

    Law: tuf_key(key.public).verify_signature(tuf_signer(key).sign(data), data) does not raise.
    """
    return _TufSigner(key)


class _TufSigner(Signer):
    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._public = tuf_key(key.public)

    @property
    def public_key(self) -> Key:
        return self._public

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._public.keyid, self._key.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        """Not how edgekit opens keys: see `edgekit.seal.opening`."""
        raise NotImplementedError
