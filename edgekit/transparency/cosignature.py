"""Cosignatures (c2sp.org/tlog-cosignature v1, ed25519): a witness says which head of a log it has seen, and when.

It says that this is the largest tree of that log which it has seen up to then, and that every tree it saw before is the
beginning of this one. The message does not hold the witness's name: one key is one witness.
"""

from __future__ import annotations

from edgekit.errors import InputError, SignatureError
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.note import COSIGNATURE, NoteSignature, SignedNote, VerifierKey, check_text, verify

LATEST_TIME = 2**63 - 1
_TIME_BYTES = 8
_SIGNATURE_BYTES = _TIME_BYTES + 64


def cosign(checkpoint_text: str, name: str, key: PrivateKey, time: int) -> NoteSignature:
    """Sign the text of a checkpoint as a witness. Whether that is right is for the caller to know.

    Args:
        checkpoint_text: Text of the signed note, without its signatures.
        name: Of the witness.
        key: Its ed25519 key.
        time: Now, in seconds since 1970 (POSIX).

    Raises:
        InputError: The text is none, the key is of another kind, or the time cannot be.
    """
    if not 0 <= time <= LATEST_TIME:
        raise InputError(f"a cosignature's time is 0 to 2**63 - 1 seconds, not {time}")
    witness = VerifierKey(name, key.public, COSIGNATURE)
    signature = key.sign(_message(check_text(checkpoint_text), time))
    return NoteSignature(name, witness.key_id, time.to_bytes(_TIME_BYTES) + signature)


def check_cosignature(note: SignedNote, key: VerifierKey) -> int:
    """When a witness cosigned a note.

    Args:
        note: A checkpoint.
        key: The witness's, of type 0x04.

    Returns:
        Seconds since 1970; the latest where it signed several times.

    Raises:
        SignatureError: It did not, or a signature in its name does not verify.
    """
    found = note.by(key)
    if not found:
        raise SignatureError(f"{key.name!r} did not cosign this checkpoint")
    return max(_time(note.text, signature, key) for signature in found)


def _time(text: str, signature: NoteSignature, key: VerifierKey) -> int:
    data = signature.signature
    if key.kind != COSIGNATURE or len(data) != _SIGNATURE_BYTES:
        raise SignatureError(f"the signature of {key.name!r} is no cosignature of ed25519")
    time = int.from_bytes(data[:_TIME_BYTES])
    if time > LATEST_TIME:
        raise SignatureError(f"the cosignature of {key.name!r} has a time beyond 2**63 - 1")
    verify(key, data[_TIME_BYTES:], _message(text, time))
    return time


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
