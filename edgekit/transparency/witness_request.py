"""AddCheckpoint: what a log asks of a witness, as the text that goes over the wire (C2SP tlog-witness).

The first line is `old`, a space and the size that the witness is thought to know; each further line a hash of the
consistency proof in base64; then an empty line; and then, to the end, the checkpoint, a signed note.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from edgekit.errors import MalformedError
from edgekit.transparency.checkpoint import read_decimal, read_hash

MOST_PROOF_LINES = 63
LARGEST_BYTES = 2**17
"""Of a request: 63 hashes, and a checkpoint with 16 signatures of the largest kind that signed-note knows."""


@dataclass(frozen=True)
class AddCheckpoint:
    """A request.

    Attributes:
        old_size: Leaves of the newest checkpoint of this log that the witness cosigned, as far as whoever asks knows.
        proof: Merkle consistency proof from there to the checkpoint, hashes of 32 bytes, at most 63.
        checkpoint: The signed note.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


def write_request(request: AddCheckpoint) -> bytes:
    """The text of a request.

    Law: read_request(write_request(request)) == request.
    """
    lines = [f"old {request.old_size}", *(b64encode(each).decode() for each in request.proof), "", ""]
    return "\n".join(lines).encode() + request.checkpoint


def read_request(data: bytes) -> AddCheckpoint:
    """A request from a stranger; nothing in it is verified yet, and the checkpoint is not even looked at.

    Raises:
        MalformedError: It is none; says where.
    """
    if len(data) > LARGEST_BYTES:
        raise MalformedError(f"a request of {len(data)} bytes; at most {LARGEST_BYTES} are read")
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise MalformedError("the request has no empty line, which ends the proof")
    first, *lines = head.split(b"\n")
    word, _, digits = first.partition(b" ")
    if word != b"old":
        raise MalformedError(f"the request begins with {first[:40]!r}, not with 'old' and a size")
    if len(lines) > MOST_PROOF_LINES:
        raise MalformedError(f"a proof of {len(lines)} lines; at most {MOST_PROOF_LINES} can be right")
    proof = tuple(read_hash(_ascii(line), where="a line of the proof") for line in lines)
    return AddCheckpoint(_size(digits), proof, checkpoint)


def write_size(size: int) -> bytes:
    """What a witness answers to a request that starts elsewhere: the size that it knows (status 409)."""
    return f"{size}\n".encode()


def read_told_size(body: bytes) -> int:
    """The size that a witness knows, from its answer of status 409.

    Raises:
        MalformedError: It is no size.

    Law: read_told_size(write_size(size)) == size.
    """
    if not body.endswith(b"\n"):
        raise MalformedError(f"the witness answered {body[:40]!r}, which is no size and a line feed")
    return _size(body[:-1])


def _size(digits: bytes) -> int:
    """A number of leaves, from a stranger."""
    return read_decimal(_ascii(digits), where="the size")


def _ascii(data: bytes) -> str:
    if not data.isascii():
        raise MalformedError(f"{data[:60]!r} is no ASCII")
    return data.decode("ascii")
