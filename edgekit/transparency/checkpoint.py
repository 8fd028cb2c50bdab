"""Checkpoints (c2sp.org/tlog-checkpoint): what a log signs, its name, how many entries it has, and their root hash."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from edgekit.errors import InputError, MalformedError, SignatureError
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.merkle import EMPTY_ROOT, HASH_BYTES
from edgekit.transparency.note import (
    SignedNote,
    VerifierKey,
    check_key_name,
    check_signature,
    read_base64,
    read_note,
    sign,
)
from edgekit.units import counted

LARGEST_SIZE = 2**63 - 1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log.

    Attributes:
        origin: Name of the log.
        size: How many entries it has.
        root: RFC 6962 root hash of the tree over them, 32 bytes.
        extensions: Further lines, which nobody can check.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is signed."""
        return "".join(
            f"{line}\n" for line in (self.origin, self.size, b64encode(self.root).decode(), *self.extensions)
        )

    def __str__(self) -> str:
        """For messages: "example.org/log at 42 entries"."""
        return f"{self.origin} at {counted(self.size, 'entry', 'entries')}"


def read_checkpoint(text: str) -> Checkpoint:
    """Read the text of a signed note as a checkpoint.

    Raises:
        MalformedError: It is none.

    Law: read_checkpoint(text).text == text.
    """
    lines = text.split("\n")
    if lines.pop() or len(lines) < 3 or not all(lines):
        raise MalformedError("a checkpoint has at least three lines, origin, size and root hash, and no empty one")
    origin, size, root, *extensions = lines
    found = Checkpoint(
        origin,
        read_decimal(size, where="the size in a checkpoint"),
        read_hash(root, where="the root hash in a checkpoint"),
        tuple(extensions),
    )
    if not found.size and found.root != EMPTY_ROOT:
        raise MalformedError(f"the checkpoint of {origin[:80]!r} says that no entries hash to {root}")
    return found


def open_checkpoint(data: bytes | SignedNote, key: VerifierKey) -> Checkpoint:
    """A checkpoint that a log signed.

    Args:
        data: The signed note, or its bytes.
        key: The log's; its name is the log's origin.

    Raises:
        MalformedError: It is no checkpoint.
        SignatureError: The key did not sign it, or it is one of another log.
    """
    note = data if isinstance(data, SignedNote) else read_note(data)
    check_signature(note, key)
    found = read_checkpoint(note.text)
    if found.origin != key.name:
        raise SignatureError(f"{key.name!r} signed a checkpoint of another log, {found.origin[:80]!r}")
    return found


def sign_checkpoint(checkpoint: Checkpoint, key: PrivateKey) -> SignedNote:
    """Sign a checkpoint as its log.

    A log signs no two that cannot both be true; that is for the caller to see to (`edgekit.transparency.tile_log`).

    Raises:
        InputError: It cannot be one, or the key is of another kind.
    """
    check_key_name(checkpoint.origin)
    try:
        read_checkpoint(checkpoint.text)
    except MalformedError as error:
        raise InputError(str(error)) from error
    return SignedNote(checkpoint.text, (sign(checkpoint.text, checkpoint.origin, key),))


def read_decimal(text: str, *, where: str) -> int:
    """A number of entries, 0 to 2**63 - 1, as ASCII digits without leading zeros.

    Raises:
        MalformedError: It is something else.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST_SIZE:
        raise MalformedError(f"{where} is no decimal number below 2**63: {text[:80]!r}")
    return int(text)


def read_hash(text: str, *, where: str) -> bytes:
    """A sha256 in base64, 32 bytes.

    Raises:
        MalformedError: It is something else.
    """
    data = read_base64(text, where=where)
    if len(data) != HASH_BYTES:
        raise MalformedError(f"{where} has {len(data)} bytes, not {HASH_BYTES}")
    return data
