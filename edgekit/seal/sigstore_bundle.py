"""Sigstore bundle v0.3: the file in which a signed statement travels, as sigstore's tools and model_signing read it.

Ours hold one envelope with one signature by a P-256 key, and that key's hint; no certificate and no log entry. Stock
tools look at the first signature only, so a second one is refused here: nobody may see another signer than we do.
"""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.errors import KeyFileError, MalformedError, SignatureError
from edgekit.seal.dsse import LARGEST_BYTES, Envelope, envelope_from, no_trusted_signature
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.seal.statement import Statement, open_statement, sign_statement
from edgekit.types.blob import check_sha256
from edgekit.types.strict_json import canonical, object_with, read_strict

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def seal_statement(statement: Statement, key: PrivateKey) -> bytes:
    """Sign a statement; the same bytes each time where the key is in memory.

    Args:
        statement: What is said.
        key: P-256.

    Returns:
        The bundle as canonical JSON.

    Raises:
        KeyFileError: The key is of another kind.

    Law: open_sealed(seal_statement(said, key), [key.public], where="") == (said, key.public).
    """
    if key.public.kind != "p256":
        raise KeyFileError(
            f"models are signed with P-256 keys, and this one is {key.public}: other tools could not verify it",
            hint="make one with: edgekit keys new NAME --type p256",
        )
    return _write(sign_statement(statement, key), key.public.hint)


def open_sealed(data: bytes, keys: Iterable[PublicKey], *, where: str) -> tuple[Statement, PublicKey]:
    """What a bundle says, and which trusted key signed it.

    Args:
        data: The bundle.
        keys: Those that are trusted; ed25519 keys never count here.
        where: What it is, for messages.

    Raises:
        MalformedError: It is no such bundle.
        SignatureError: It names a key that is not trusted, or its signature is not by that key.

    Law: with one byte of `data` changed, one of the two is raised.
    """
    envelope, hint = _read(data, where)
    trusted = tuple(keys)
    if trusted and all(key.kind == "ed25519" for key in trusted):
        raise SignatureError(
            f"{where}: models are signed with P-256 keys; what is trusted is {', '.join(map(str, trusted))}",
            hint="trust the publisher's P-256 key; ed25519 is for channels and nodes",
        )
    named = [key for key in trusted if key.kind == "p256" and key.hint == hint]
    if not named:
        raise no_trusted_signature(trusted)
    return open_statement(envelope, named, where=where)


def _write(envelope: Envelope, hint: str) -> bytes:
    return canonical(
        {
            "dsseEnvelope": envelope.to_dict(),
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        }
    )


def _read(data: bytes, where: str) -> tuple[Envelope, str]:
    """Envelope and hint of a bundle; verifies nothing."""
    value = read_strict(data, where=where, limit_bytes=LARGEST_BYTES)
    fields = object_with(value, required=("mediaType", "verificationMaterial", "dsseEnvelope"), where=where)
    if fields["mediaType"] != MEDIA_TYPE:
        raise MalformedError(f"{where} is no sigstore bundle v0.3")
    inside = f"{where}: verificationMaterial"
    material = object_with(
        fields["verificationMaterial"], required=("publicKey",), optional=("tlogEntries",), where=inside
    )
    if material.get("tlogEntries", []) != []:
        raise MalformedError(f"{inside} has log entries, which are not verified here")
    hint = object_with(material["publicKey"], required=("hint",), where=f"{inside}.publicKey")["hint"]
    if not isinstance(hint, str):
        raise MalformedError(f"{inside}.publicKey.hint is no text")
    envelope = envelope_from(fields["dsseEnvelope"], where=where)
    if len(envelope.signatures) != 1:
        raise MalformedError(f"{where} has {len(envelope.signatures)} signatures; exactly one is allowed")
    return envelope, check_sha256(hint, where=f"{inside}.publicKey.hint")
