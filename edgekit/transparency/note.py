"""Signed notes (c2sp.org/signed-note v1.0.0): a text, and below it signatures by named keys.

A key is known by its name and four bytes of a digest of it; whoever reads a note looks for the keys that they trust,
and ignores all others. What edgekit makes and verifies is ed25519: plain (type 0x01), as logs sign, and with a time
(type 0x04, `edgekit.transparency.cosignature`), as witnesses do.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from edgekit.errors import InputError, KeyFileError, MalformedError, SignatureError
from edgekit.seal.did import read_did, write_did
from edgekit.seal.keys import PrivateKey, PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
KINDS = (ED25519, COSIGNATURE)
"""Types of signatures that are verified."""

LARGEST_NOTE_BYTES = 256 * 1024
LARGEST_TEXT_BYTES = 128 * 1024
"""Of a note: what is signed."""
MOST_SIGNATURES = 100
LONGEST_NAME = 256
"""Characters of a key's name, and so of a log's."""
KEY_ID_BYTES = 4
_KEY_BYTES = 32
_DASH = "\N{EM DASH} "
_VKEY = re.compile(r"([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{1,64})")
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Control characters, and what no UTF-8 can say."""


@dataclass(frozen=True)
class VerifierKey:
    """A key that is trusted to sign notes under one name.

    Attributes:
        name: Of the key: a log's is its origin. No white space, no "+".
        public: An ed25519 key.
        kind: ED25519, or COSIGNATURE for a witness.
    """

    name: str
    public: PublicKey
    kind: int = ED25519

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if self.public.kind != "ed25519":
            raise KeyFileError(
                f"the key of {self.name!r} is of the kind {self.public.kind}; logs and witnesses use ed25519",
                hint="make one with: edgekit keys new NAME --type ed25519",
            )
        if self.kind not in KINDS:
            raise KeyFileError(
                f"the key of {self.name!r} signs with type {self.kind:#04x}, which edgekit cannot verify"
            )

    @staticmethod
    def parse(text: str) -> VerifierKey:
        """Read a vkey: name, "+", key id in hex, "+", base64 of type and key.

        Raises:
            KeyFileError: It is something else, of another type, or its id is not that of its key.

        Law: VerifierKey.parse(str(key)) == key.
        """
        found = _VKEY.fullmatch(text) if len(text) <= LONGEST_NAME + 80 else None
        hint = "it looks like example.org/log+1a2b3c4d+AQ..."
        if not found or not _is_key_name(found[1]):
            raise KeyFileError(f"{text[:80]!r} is no key of a log or a witness (vkey)", hint=hint)
        try:
            data = read_base64(found[3], where="the key in a vkey")
        except MalformedError as error:
            raise KeyFileError(str(error), hint=hint) from error
        kind, raw = data[0], data[1:]
        if kind not in KINDS or len(raw) != _KEY_BYTES:
            raise KeyFileError(
                f"the vkey of {found[1][:80]!r} is of type {kind:#04x} with {len(raw)} bytes of key",
                hint="edgekit verifies ed25519: 0x01 of logs and 0x04 of witnesses, 32 bytes each",
            )
        key = VerifierKey(found[1], PublicKey.from_did(write_did("ed25519", raw)), kind)
        if key.key_id.hex() != found[2]:
            raise KeyFileError(
                f"the vkey of {key.name!r} says id {found[2]}, its key has {key.key_id.hex()}",
                hint="copy it again, whole",
            )
        return key

    @cached_property
    def key_id(self) -> bytes:
        """First four bytes of the sha256 of name, line feed, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._encoded).digest()[:KEY_ID_BYTES]

    @cached_property
    def _encoded(self) -> bytes:
        return bytes([self.kind]) + read_did(self.public.did)[1]

    def __str__(self) -> str:
        """The vkey."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self._encoded).decode()}"


@dataclass(frozen=True)
class NoteSignature:
    """One signature line; nothing says yet that it verifies.

    Attributes:
        name: Of the key.
        key_id: Four bytes.
        signature: What the key made: 64 bytes of ed25519, or of a cosignature 8 bytes of time before them.
    """

    name: str
    key_id: bytes
    signature: bytes

    def is_by(self, key: VerifierKey) -> bool:
        """Whether it names that key."""
        return (self.name, self.key_id) == (key.name, key.key_id)

    def __str__(self) -> str:
        """The line, with its line feed."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True)
class SignedNote:
    """A text and the signatures below it.

    Attributes:
        text: What is signed; ends with a line feed.
        signatures: In the order of the note.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def by(self, key: VerifierKey) -> tuple[NoteSignature, ...]:
        """Signatures that name a key."""
        return tuple(signature for signature in self.signatures if signature.is_by(key))

    def signed_also(self, signatures: Iterable[NoteSignature]) -> SignedNote:
        """The note with more signatures; one by a key that had signed already takes the older one's place."""
        kept = {(each.name, each.key_id): each for each in (*self.signatures, *signatures)}
        return SignedNote(self.text, tuple(kept.values()))


def read_note(data: bytes) -> SignedNote:
    """Read a signed note; no signature is verified.

    Raises:
        MalformedError: It is none, or larger than 256 KiB, its text than 128 KiB, or has more than 100 signatures.

    Law: write_note(read_note(data)) == data, and read_note(write_note(note)) == note.
    """
    if len(data) > LARGEST_NOTE_BYTES:
        raise MalformedError(f"a signed note of {len(data)} bytes; at most {LARGEST_NOTE_BYTES} are read")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"a signed note is no UTF-8 text: {error.reason} at byte {error.start}") from error
    if found := _FORBIDDEN.search(whole):
        raise MalformedError(f"a signed note holds the control character {found[0]!r}")
    text, empty, block = whole.rpartition("\n\n")
    lines = block.split("\n")
    if not empty or lines.pop() or not lines:
        raise MalformedError("a signed note needs an empty line, and below it a line for each signature")
    if len(lines) > MOST_SIGNATURES:
        raise MalformedError(f"a signed note with {len(lines)} signatures; at most {MOST_SIGNATURES} are read")
    if len(text.encode()) >= LARGEST_TEXT_BYTES:
        raise MalformedError(f"a signed note whose text has more than {LARGEST_TEXT_BYTES} bytes")
    return SignedNote(text + "\n", tuple(map(read_signature_line, lines)))


def write_note(note: SignedNote) -> bytes:
    """The bytes of a note.

    Raises:
        InputError: The text is none that can be signed, there is no signature, or it is more than is read.
    """
    check_text(note.text)
    if not 0 < len(note.signatures) <= MOST_SIGNATURES:
        raise InputError(f"a signed note has 1 to {MOST_SIGNATURES} signatures, not {len(note.signatures)}")
    data = (note.text + "\n" + "".join(map(str, note.signatures))).encode()
    if len(data) > LARGEST_NOTE_BYTES:
        raise InputError(f"a signed note of {len(data)} bytes; at most {LARGEST_NOTE_BYTES} are read")
    return data


def read_signature_line(line: str) -> NoteSignature:
    """Read one line below a note's text, without its line feed.

    Raises:
        MalformedError: It is none.
    """
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _is_key_name(name):
        raise MalformedError(f"{line[:80]!r} is no line of a signature: em dash, name of the key, base64")
    data = read_base64(encoded, where=f"the signature of {name[:80]!r}")
    if len(data) <= KEY_ID_BYTES:
        raise MalformedError(f"the signature of {name[:80]!r} has only {len(data)} bytes")
    return NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def sign(text: str, name: str, key: PrivateKey) -> NoteSignature:
    """Sign a text, ed25519 of type 0x01.

    Args:
        text: Ends with a line feed; no other control characters.
        name: Of the key.
        key: An ed25519 key.

    Raises:
        InputError: The text is none that can be signed, or the key is of another kind.
    """
    check_text(text)
    return NoteSignature(name, VerifierKey(name, key.public).key_id, key.sign(text.encode()))


def check_signature(note: SignedNote, key: VerifierKey) -> None:
    """Do nothing where a key of type 0x01 signed a note.

    Raises:
        SignatureError: It did not, or a signature in its name does not verify.
    """
    found = note.by(key)
    if not found:
        raise SignatureError(
            f"{key.name!r} did not sign this note: no signature by the key with id {key.key_id.hex()}",
            hint="is it a note of another log, or does the log have a new key?",
        )
    for signature in found:
        if key.kind != ED25519 or len(signature.signature) != 64:
            raise SignatureError(f"the signature of {key.name!r} is none of ed25519")
        verify(key, signature.signature, note.text.encode())


def verify(key: VerifierKey, signature: bytes, message: bytes) -> None:
    """Do nothing where `signature` is the ed25519 signature of a key over a message.

    Raises:
        SignatureError: It is not; says whose it was to be.
    """
    try:
        key.public.verify(signature, message)
    except SignatureError as error:
        raise SignatureError(f"the signature of {key.name!r} does not verify", hint=error.hint) from error


def check_key_name(name: str) -> str:
    """A name of a key: not empty, no Unicode white space, no "+", no control character.

    Raises:
        InputError: It is something else.
    """
    if not _is_key_name(name):
        raise InputError(
            f"{name[:80]!r} is no name of a log or witness",
            hint="write it like a URL without a scheme: example.org/log",
        )
    return name


def check_text(text: str) -> str:
    """A text that can be signed: ends with a line feed, which is its only kind of control character; at most 128 KiB.

    Raises:
        InputError: It is something else.
    """
    if not text.endswith("\n") or _FORBIDDEN.search(text):
        raise InputError("a text to be signed ends with a line feed, and has no other control characters")
    if len(text.encode()) > LARGEST_TEXT_BYTES:
        raise InputError(f"a text to be signed has at most {LARGEST_TEXT_BYTES} bytes, not {len(text.encode())}")
    return text


def read_base64(text: str, *, where: str) -> bytes:
    """Standard base64 with padding (RFC 4648, section 4), in its one canonical form.

    Raises:
        MalformedError: It is something else.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError(f"{where} is no base64: {text[:80]!r}") from error
    if b64encode(data).decode() != text:
        raise MalformedError(f"{where} is not in the one form that its bytes have in base64: {text[:80]!r}")
    return data


def _is_key_name(name: str) -> bool:
    return (
        0 < len(name) <= LONGEST_NAME
        and "+" not in name
        and not any(character.isspace() for character in name)
        and not _FORBIDDEN.search(name)
    )
