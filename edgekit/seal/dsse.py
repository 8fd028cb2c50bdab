"""DSSE envelope: some bytes, what they are, and signatures over both (DSSE 1.0, secure-systems-lab/dsse).

What is signed is the pre-authentication encoding `pae`, so that bytes signed as one type never pass for another. Read
more strictly than DSSE asks: a field that is not known is refused, for nothing would have signed it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MalformedError, SignatureError
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.types.strict_json import canonical, object_with, read_strict

LARGEST_PAYLOAD_BYTES = 2**20
LARGEST_BYTES = 3 * 2**19
"""Of an envelope's JSON, in which base64 makes the payload a third longer."""
MOST_SIGNATURES = 16
_LONGEST_TYPE = 256


@dataclass(frozen=True)
class Envelope:
    """Signed bytes.

    Attributes:
        payload: What was signed.
        payload_type: What it is, for example "application/vnd.in-toto+json".
        signatures: Over both; one or more.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[bytes, ...]

    def verified_by(self, keys: Iterable[PublicKey]) -> PublicKey:
        """The first of the trusted keys that signed.

        Args:
            keys: Those that are trusted.

        Raises:
            SignatureError: None of them did.
        """
        signed, trusted = pae(self.payload_type, self.payload), tuple(keys)
        for key in trusted:
            for signature in self.signatures:
                try:
                    key.verify(signature, signed)
                except SignatureError:
                    continue
                return key
        raise no_trusted_signature(trusted)

    def to_dict(self) -> dict[str, Any]:
        """As the JSON of DSSE."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": "", "sig": base64.b64encode(sig).decode()} for sig in self.signatures],
        }

    def to_json(self) -> bytes:
        """As canonical JSON.

        Law: read_envelope(envelope.to_json(), where="") == envelope.
        """
        return canonical(self.to_dict())


def pae(payload_type: str, payload: bytes) -> bytes:
    """What a signature covers: DSSE's pre-authentication encoding.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload: bytes, payload_type: str, key: PrivateKey) -> Envelope:
    """Sign some bytes as what they are.

    Raises:
        MalformedError: There are more than 1 MiB.

    Law: sign_envelope(payload, kind, key).verified_by([key.public]) == key.public.
    """
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        raise MalformedError(
            f"{len(payload)} bytes are too many for an envelope; at most {LARGEST_PAYLOAD_BYTES} go in"
        )
    return Envelope(payload, payload_type, (key.sign(pae(payload_type, payload)),))


def read_envelope(data: bytes, *, where: str) -> Envelope:
    """Read an envelope's JSON; verifies nothing.

    Args:
        data: The text.
        where: What it is, for messages.

    Raises:
        MalformedError: It is no such envelope.
    """
    return envelope_from(read_strict(data, where=where, limit_bytes=LARGEST_BYTES), where=where)


def envelope_from(value: object, *, where: str) -> Envelope:
    """The envelope in JSON that was read.

    Raises:
        MalformedError: It is no such envelope.
    """
    fields = object_with(value, required=("payload", "payloadType", "signatures"), where=where)
    kind, listed = fields["payloadType"], fields["signatures"]
    if not isinstance(kind, str) or not 0 < len(kind) <= _LONGEST_TYPE or not kind.isascii():
        raise MalformedError(f"{where}: payloadType is no type of at most {_LONGEST_TYPE} characters")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SIGNATURES:
        raise MalformedError(f"{where}: there have to be 1 to {MOST_SIGNATURES} signatures")
    return Envelope(
        _unbase64(fields["payload"], f"{where}: payload"),
        kind,
        tuple(_signature(item, f"{where}: signature {index}") for index, item in enumerate(listed)),
    )


def no_trusted_signature(trusted: Iterable[PublicKey]) -> SignatureError:
    """What is raised when no trusted key signed."""
    names = ", ".join(map(str, trusted))
    return SignatureError(
        f"no signature by a trusted key (trusted: {names or 'none'})",
        hint="the file was changed, or signed by a key that is not trusted here",
    )


def _signature(value: object, where: str) -> bytes:
    """A signature; `keyid` names a key that nothing vouches for, so that only the empty one is taken."""
    fields = object_with(value, required=("sig",), optional=("keyid",), where=where)
    if fields.get("keyid", "") != "":
        raise MalformedError(f"{where}: keyid is not empty")
    return _unbase64(fields["sig"], where)


def _unbase64(value: object, where: str) -> bytes:
    """Base64 in its one canonical form: two texts never stand for the same bytes."""
    if not isinstance(value, str):
        raise MalformedError(f"{where} is no text")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{where} is no base64") from error
    if base64.b64encode(data).decode() != value:
        raise MalformedError(f"{where} is no canonical base64")
    return data
