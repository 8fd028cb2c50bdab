"""Statement: what somebody says about some files, after in-toto's attestation framework (Statement v1).

Subjects are files by name and sha256; the predicate is what is said of them, of a type that a URL names. A model
signature, a build's provenance and a node's receipt are each a statement in an envelope.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MalformedError
from edgekit.seal.dsse import LARGEST_PAYLOAD_BYTES, Envelope, sign_envelope
from edgekit.seal.keys import PrivateKey, PublicKey
from edgekit.types.blob import check_sha256
from edgekit.types.strict_json import canonical, read_strict

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MOST_SUBJECTS = 4096
_LONGEST_TEXT = 1024


@dataclass(frozen=True)
class Subject:
    """Something that is spoken of.

    Attributes:
        name: File name, or whatever the predicate's type takes for one.
        sha256: Its digest, lower-case hex.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Statement:
    """What is said.

    Attributes:
        subjects: Of what; one or more.
        predicate_type: URL that says what the predicate means.
        predicate: What is said, JSON.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """As canonical JSON.

        Raises:
            ValueError: The predicate holds something that JSON cannot say.

        Law: read_statement(statement.to_bytes(), where="") == statement.
        """
        return canonical(
            {
                "_type": STATEMENT_TYPE,
                "predicate": dict(self.predicate),
                "predicateType": self.predicate_type,
                "subject": [{"digest": {"sha256": item.sha256}, "name": item.name} for item in self.subjects],
            }
        )


def read_statement(data: bytes, *, where: str) -> Statement:
    """Read a statement's JSON. Fields that are not known are left out, as in-toto wants it: they are signed too.

    Args:
        data: The text.
        where: What it is, for messages.

    Raises:
        MalformedError: It is no Statement v1 with sha256 digests.
    """
    value = read_strict(data, where=where, limit_bytes=LARGEST_PAYLOAD_BYTES)
    if not isinstance(value, dict) or value.get("_type") != STATEMENT_TYPE:
        raise MalformedError(f"{where} is no in-toto Statement v1")
    subjects, predicate = value.get("subject"), value.get("predicate")
    if not isinstance(subjects, list) or not 1 <= len(subjects) <= MOST_SUBJECTS:
        raise MalformedError(f"{where}: there have to be 1 to {MOST_SUBJECTS} subjects")
    if not isinstance(predicate, dict):
        raise MalformedError(f"{where}: the predicate is no JSON object")
    return Statement(
        tuple(_subject(item, f"{where}: subject {index}") for index, item in enumerate(subjects)),
        _text(value.get("predicateType"), f"{where}: predicateType"),
        predicate,
    )


def sign_statement(statement: Statement, key: PrivateKey) -> Envelope:
    """The statement in an envelope, signed.

    Law: open_statement(sign_statement(said, key), [key.public], where="") == (said, key.public).
    """
    return sign_envelope(statement.to_bytes(), PAYLOAD_TYPE, key)


def open_statement(envelope: Envelope, keys: Iterable[PublicKey], *, where: str) -> tuple[Statement, PublicKey]:
    """What is said in an envelope, and by whom; looked at only after the signature.

    Args:
        envelope: As it was read.
        keys: Those that are trusted.
        where: What it is, for messages.

    Raises:
        SignatureError: None of the keys signed it.
        MalformedError: It holds no statement.
    """
    key = envelope.verified_by(keys)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise MalformedError(f"{where} holds {envelope.payload_type[:80]!r} where {PAYLOAD_TYPE!r} is wanted")
    return read_statement(envelope.payload, where=where), key


def _subject(value: object, where: str) -> Subject:
    if not isinstance(value, dict) or not isinstance(digests := value.get("digest"), dict):
        raise MalformedError(f"{where} has no name and digest")
    sha256 = check_sha256(_text(digests.get("sha256"), f"{where}: digest.sha256"), where=f"{where}: digest.sha256")
    return Subject(_text(value.get("name"), f"{where}: name"), sha256)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise MalformedError(f"{where} is no text of 1 to {_LONGEST_TEXT} characters")
    return value
