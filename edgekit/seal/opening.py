"""Keys by where they are: a file, a token behind PKCS #11, or a did:key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgekit.errors import MissingExtraError
from edgekit.seal.key_files import read_private, read_public
from edgekit.seal.keys import PrivateKey, PublicKey

TOKEN_SCHEME = "pkcs11:"


def open_key(place: str, passphrase: Callable[[], bytes]) -> PrivateKey:
    """A key that signs.

    Args:
        place: Path of a key file, or a PKCS #11 URI (RFC 7512): "pkcs11:token=...;object=...?module-path=...".
        passphrase: Asked once and only where the file is encrypted; for a token it is the PIN.

    Raises:
        KeyFileError: It cannot be opened; says why.
        MissingExtraError: PyKCS11 is not installed, and this is a token.
    """
    if not place.startswith(TOKEN_SCHEME):
        return read_private(Path(place), passphrase)
    try:
        from edgekit.seal.pkcs11 import open_pkcs11
    except ModuleNotFoundError as error:
        raise MissingExtraError("PyKCS11", extra="hsm") from error
    return open_pkcs11(place, passphrase)


def open_public(place: str) -> PublicKey:
    """A key that verifies.

    Args:
        place: Path of a public key in PEM, or "did:key:...".

    Raises:
        KeyFileError: It cannot be read; says why.
    """
    return PublicKey.from_did(place) if place.startswith("did:") else read_public(Path(place))
