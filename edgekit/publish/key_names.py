"""Keys of TUF metadata as edgekit names keys: "ed25519:1f2e3d4c5b6a7988", the beginning of the fingerprint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edgekit.channel.tuf_objects import Key
from edgekit.errors import EdgekitError, InputError
from edgekit.seal.keys import PublicKey, of_cryptography
from edgekit.seal.tuf_signer import tuf_key

_FINGERPRINT = re.compile(r"(?:[a-z0-9]+:)?([0-9a-f]{8,64})")


def public_key(key: Key) -> PublicKey | None:
    """A key of metadata as one of ours; None where it is of a kind that we do not make."""
    text = str(key.keyval.get("public", ""))
    try:
        if key.keytype == "ed25519":
            return of_cryptography(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))
        return PublicKey.from_pem(text)
    except (ValueError, EdgekitError):
        return None


def name_key(key: Key) -> str:
    """What messages call it."""
    known = public_key(key)
    return str(known) if known else f"key id {key.keyid[:16]}"


def name_keys(keys: Iterable[Key]) -> str:
    """Several, for messages; sorted, so that the same keys are told in the same way."""
    return ", ".join(sorted(name_key(key) for key in keys)) or "no key"


def find_key(keys: Mapping[str, Key], wanted: PublicKey | str, *, where: str) -> str:
    """The key id of one key.

    Args:
        keys: Key id -> key.
        wanted: The key, or the beginning of its fingerprint, as `edgekit channel status` shows it.
        where: Whose keys they are, for messages.

    Raises:
        InputError: None is that key, or several begin so.
    """
    if isinstance(wanted, PublicKey):
        keyid = tuf_key(wanted).keyid
        found, told = [keyid] if keyid in keys else [], str(wanted)
    else:
        match, told = _FINGERPRINT.fullmatch(wanted), wanted
        start = match[1] if match else "-"
        named = {keyid: public_key(key) for keyid, key in keys.items()}
        found = [keyid for keyid, key in named.items() if key and key.fingerprint.startswith(start)]
    if len(found) != 1:
        what = "no key" if not found else f"{len(found)} keys"
        raise InputError(f"{where} has {what} {told}; its keys are {name_keys(keys.values())}")
    return found[0]
