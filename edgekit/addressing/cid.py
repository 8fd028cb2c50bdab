"""CID: what IPFS calls a block. Version 1, sha2-256, raw bytes or a node of UnixFS: the only kinds edgekit makes.

See github.com/multiformats/cid. In bytes: version, codec, hash function, length of the digest, digest. As text: "b" and
base32 in lower case without padding.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from edgekit.errors import MalformedError

RAW = 0x55
"""Codec of a block that is nothing but bytes."""
DAG_PB = 0x70
"""Codec of a block that links to others (ipld.io/specs/codecs/dag-pb)."""
CID_BYTES = 36
"""Length of a CID in bytes."""
_VERSION, _SHA2_256, _DIGEST_BYTES = 1, 0x12, 32
_TEXT = re.compile(r"b[a-z2-7]{58}")


@dataclass(frozen=True)
class Cid:
    """The name of one block.

    Attributes:
        codec: RAW or DAG_PB.
        sha256: Digest of the block's bytes, 32 bytes.
    """

    codec: int
    sha256: bytes

    def __bytes__(self) -> bytes:
        return bytes((_VERSION, self.codec, _SHA2_256, _DIGEST_BYTES)) + self.sha256

    def __str__(self) -> str:
        return "b" + base64.b32encode(bytes(self)).decode("ascii").rstrip("=").lower()


def parse_cid(text: str, *, where: str = "the CID") -> Cid:
    """A CID from its text.

    Args:
        text: 59 characters.
        where: Whose it is, for messages.

    Raises:
        MalformedError: It is none of version 1, base32, sha2-256, raw or dag-pb; or another text means the same.

    Law: parse_cid(str(cid)) == cid.
    """
    if not _TEXT.fullmatch(text):
        raise MalformedError(f"{where} is no CIDv1 of 59 characters in base32: {text[:80]!r}")
    try:
        data = base64.b32decode(text[1:].upper() + "=" * 6)
    except binascii.Error as error:  # not reached after the expression above; the decoder has the last word
        raise MalformedError(f"{where} is no base32: {text!r}") from error
    cid = read_cid(data, where=where)
    if str(cid) != text:
        raise MalformedError(f"{where} has bits behind its end: {text!r}")
    return cid


def read_cid(data: bytes, *, where: str = "the CID") -> Cid:
    """A CID from its bytes.

    Args:
        data: 36 bytes.
        where: Whose it is, for messages.

    Raises:
        MalformedError: It is none of version 1, sha2-256, raw or dag-pb.

    Law: read_cid(bytes(cid)) == cid.
    """
    if len(data) != CID_BYTES or data[0] != _VERSION or data[2:4] != bytes((_SHA2_256, _DIGEST_BYTES)):
        raise MalformedError(f"{where} is no CIDv1 with a sha2-256: {data[:40].hex()}")
    if data[1] not in (RAW, DAG_PB):
        raise MalformedError(f"{where} is of codec {data[1]:#x}; known are raw ({RAW:#x}) and dag-pb ({DAG_PB:#x})")
    return Cid(data[1], data[4:])


def raw_cid(sha256: str) -> str:
    """CID of bytes that are one block, from their sha256.

    Args:
        sha256: Lower-case hex.

    >>> raw_cid("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
    """
    return str(Cid(RAW, bytes.fromhex(sha256)))


def varint(value: int) -> bytes:
    """A number as CARs and protobuf write it: seven bits a byte, the lowest first.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
