"""CAR: blocks of IPFS in one file (ipld.io/specs/transport/car/carv1), written and read with one root.

A header that names the root, then each block with its CID before it. We write every block once, in the order in which
the tree is walked, depth first. Other programs may write another order, which is read as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from edgekit.addressing.cid import CID_BYTES, DAG_PB, RAW, Cid, read_cid, varint
from edgekit.addressing.unixfs import CHUNK_BYTES, Link, Node, read_node
from edgekit.errors import DigestError, InputError, MalformedError

MEDIA_TYPE = "application/vnd.ipld.car"
_BEFORE_ROOT = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00"
_BEHIND_ROOT = b"\x67version\x01"
"""The header in DAG-CBOR: a map of a list with one CID (tag 42, with a zero byte before it), and the version."""
_HEADER_BYTES = len(_BEFORE_ROOT) + CID_BYTES + len(_BEHIND_ROOT)


@dataclass(frozen=True)
class CarLimits:
    """What is read at most.

    Attributes:
        block_bytes: Of one block.
        blocks: How many; the default suffices for 128 GiB.
        links: Of all nodes together; each costs some 400 bytes of memory.
    """

    block_bytes: int = 2 * CHUNK_BYTES
    blocks: int = 2**17 + 2**10
    links: int = 2**18


@dataclass(frozen=True)
class CheckedCar:
    """A CAR that holds one tree, whole, and nothing else.

    Attributes:
        root: CID of the tree.
        blocks: How many it has.
        size_bytes: Of the blocks.
    """

    root: Cid
    blocks: int
    size_bytes: int


def write_car(out: BinaryIO, root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> int:
    """Write a CAR.

    Args:
        out: Where to.
        root: What the header names.
        blocks: CID and bytes of each block.

    Returns:
        How many bytes were written.

    Raises:
        OSError: `out` cannot be written to.
    """
    size = out.write(header_of(root))
    for cid, data in blocks:
        size += out.write(before_block(cid, len(data)))
        size += out.write(data)
    return size


def header_of(root: Cid) -> bytes:
    """What a CAR begins with, its length included."""
    header = _BEFORE_ROOT + bytes(root) + _BEHIND_ROOT
    return varint(len(header)) + header


def before_block(cid: Cid, size_bytes: int) -> bytes:
    """What stands before a block of so many bytes."""
    return varint(CID_BYTES + size_bytes) + bytes(cid)


def read_header(stream: BinaryIO) -> Cid:
    """The root that a CAR names; leaves the stream at the first block.

    Raises:
        MalformedError: It is no CAR of version 1 with one root.
        InputError: It cannot be read.
    """
    size = _read_length(stream)
    header = _read(stream, size or 0) if size == _HEADER_BYTES else b""
    body = header[len(_BEFORE_ROOT) : len(_BEFORE_ROOT) + CID_BYTES]
    if header != _BEFORE_ROOT + body + _BEHIND_ROOT:
        raise MalformedError("this is no CAR of version 1 with one root")
    return read_cid(body, where="the root of the CAR")


def read_blocks(stream: BinaryIO, *, limits: CarLimits = CarLimits()) -> Iterator[tuple[Cid, bytes]]:
    """Blocks of a CAR, each held against its CID before it is given out.

    Args:
        stream: Behind the header.
        limits: What is read at most.

    Raises:
        MalformedError: It is no CAR, or goes beyond the limits.
        DigestError: A block is not what its CID says.
        InputError: It cannot be read.
    """
    number = 0
    while (size := _read_length(stream)) is not None:
        if number == limits.blocks:
            raise MalformedError(f"the CAR has more than {limits.blocks} blocks")
        if not CID_BYTES <= size <= CID_BYTES + limits.block_bytes:
            raise MalformedError(f"block {number} of the CAR has {size} bytes; at most {limits.block_bytes} are read")
        cid = read_cid(_read(stream, CID_BYTES), where=f"the CID of block {number}")
        data = _read(stream, size - CID_BYTES)
        if hashlib.sha256(data).digest() != cid.sha256:
            raise DigestError(f"block {number} of the CAR holds other bytes than those of {cid}")
        yield cid, data
        number += 1


def check_car(stream: BinaryIO, root: Cid, *, limits: CarLimits = CarLimits()) -> CheckedCar:
    """That a CAR holds a tree, whole, and nothing else.

    Args:
        stream: At its start.
        root: What it should hold.
        limits: What is read at most.

    Raises:
        MalformedError: It is no CAR, lacks a block, has one that does not belong to the tree or one twice, or a node
            that is no file or folder.
        DigestError: A block is not what its CID says, or the root is another.
        InputError: It cannot be read.
    """
    found = read_header(stream)
    if found != root:
        raise DigestError(f"the CAR is that of {found}, not of {root}")
    nodes: dict[Cid, Node] = {}
    sizes: dict[Cid, int] = {}
    left = limits.links
    for cid, data in read_blocks(stream, limits=limits):
        if cid in sizes:
            raise MalformedError(f"the CAR has block {cid} twice")
        sizes[cid] = len(data)
        if cid.codec == DAG_PB:
            nodes[cid] = read_node(data)
            left -= len(nodes[cid].links)
            if left < 0:
                raise MalformedError(f"the CAR has more than {limits.links} links")
    belonging = _walk(root, nodes, sizes)
    for cid in sizes:
        if cid not in belonging:
            raise MalformedError(f"the CAR has block {cid}, which is no part of {root}")
    return CheckedCar(root, len(sizes), sum(sizes.values()))


def _walk(root: Cid, nodes: dict[Cid, Node], sizes: dict[Cid, int]) -> set[Cid]:
    """Every block of a tree; all must be there, and have the sizes that their links say."""
    belonging: set[Cid] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid in belonging:
            continue
        if cid not in sizes:
            raise MalformedError(f"the CAR lacks block {cid}", hint="it was not copied whole: fetch it again")
        belonging.add(cid)
        if cid in nodes:
            for link in nodes[cid].links:
                _check_link(link, nodes, sizes, in_folder=nodes[cid].is_folder)
                waiting.append(link.cid)
    return belonging


def _check_link(link: Link, nodes: dict[Cid, Node], sizes: dict[Cid, int], *, in_folder: bool) -> None:
    """That a link says the size of what it leads to, as far as that is there."""
    node, size = nodes.get(link.cid), sizes.get(link.cid)
    if size is None:
        return
    total = size + (node.total_bytes if node else 0)
    content = node.size_bytes if node else size
    is_odd = not in_folder and ((node is not None and node.is_folder) or content != link.size_bytes)
    if total != link.total_bytes or is_odd or (link.cid.codec == RAW and size > CHUNK_BYTES):
        raise MalformedError(f"a link to {link.cid} says other sizes than it has")


def _read_length(stream: BinaryIO) -> int | None:
    """The length before a block; None at the end."""
    size = 0
    for number in range(4):
        byte = _some(stream, 1)
        if not byte:
            if number:
                raise MalformedError("the CAR ends within the length of a block")
            return None
        size |= (byte[0] & 0x7F) << 7 * number
        if byte[0] < 0x80:
            if number and not byte[0]:
                raise MalformedError("the CAR has a length that is written longer than it needs to be")
            return size
    raise MalformedError("the CAR has a block of 256 MiB or more")


def _read(stream: BinaryIO, size: int) -> bytes:
    data = _some(stream, size)
    if len(data) != size:
        raise MalformedError("the CAR ends within a block", hint="it was not copied whole: fetch it again")
    return data


def _some(stream: BinaryIO, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        raise InputError(f"cannot read the CAR: {error.strerror or error}") from error
