"""UnixFS: how IPFS cuts files into blocks and names folders (specs.ipfs.tech/unixfs), in one layout.

Chunks of 1 MiB as raw leaves, at most 1024 links a node, a balanced tree, CIDv1: what the program ipfs-car does by
default. A file of one chunk is that chunk. Nodes are dag-pb, a small part of protobuf; only the one text that a node
has is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from edgekit.addressing.cid import DAG_PB, RAW, Cid, read_cid, varint
from edgekit.addressing.parts import Parts
from edgekit.errors import MalformedError
from edgekit.types.blob import LARGEST_BYTES
from edgekit.wire.protobuf import walk

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK_BYTES = 2**20
MOST_LINKS = 1024
MOST_ENTRIES = 1000
"""Of a folder: beyond it, other programs would spread it over several nodes."""
LARGEST_NODE_BYTES = 2**20
LONGEST_NAME = 255
_FOLDER, _FILE, _SHARDED_FOLDER = 1, 2, 5


@dataclass(frozen=True)
class Link:
    """A link from a node to a file, a folder, or a part of a file.

    Attributes:
        cid: What it leads to.
        size_bytes: Of the file's bytes below it; 0 for a folder, whose node does not say it.
        total_bytes: Of all blocks below it, nodes among them.
        name: In a folder; "" in a file.
    """

    cid: Cid
    size_bytes: int
    total_bytes: int
    name: str = ""


@dataclass(frozen=True)
class Node:
    """A node that was read.

    Attributes:
        is_folder: Whether it is one; else it is a file, or a part of one.
        links: In order.
    """

    is_folder: bool
    links: tuple[Link, ...]

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the file below it."""
        return sum(link.size_bytes for link in self.links)

    @cached_property
    def total_bytes(self) -> int:
        """Of all blocks below it, nodes among them."""
        return sum(link.total_bytes for link in self.links)


class FileDag:
    """The tree of one file, while its bytes stream by.

    Attributes:
        leaves: Of every chunk of 1 MiB the digest, known when `finish` was called.
        root: What leads to the whole file, then.
        nodes: CID -> bytes of every block that is no chunk, then.
    """

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self.nodes: dict[Cid, bytes] = {}
        self.root, _ = file_tree((), 0)
        self._parts = Parts(CHUNK_BYTES)
        self._size = 0

    def update(self, chunk: ReadableBuffer) -> None:
        """Take the next bytes."""
        self._parts.update(chunk)
        self._size += memoryview(chunk).nbytes

    def finish(self) -> str:
        """The CID of the file.

        Law: it does not depend on the chunks that the bytes came in.
        """
        self.leaves = self._parts.finish()
        self.root, self.nodes = file_tree(self.leaves, self._size)
        return str(self.root.cid)


def file_tree(leaves: Sequence[bytes], size_bytes: int) -> tuple[Link, dict[Cid, bytes]]:
    """The tree above the chunks of a file: what leads to it, and every block that is no chunk.

    Args:
        leaves: Digest of each chunk, 32 bytes, in order; none for an empty file.
        size_bytes: Of the file.
    """
    nodes: dict[Cid, bytes] = {}
    level = [Link(Cid(RAW, leaf), CHUNK_BYTES, CHUNK_BYTES) for leaf in leaves]
    if not level:
        return Link(Cid(RAW, hashlib.sha256().digest()), 0, 0), nodes
    rest = size_bytes - (len(level) - 1) * CHUNK_BYTES
    level[-1] = Link(level[-1].cid, rest, rest)
    while len(level) > 1:
        level = [_join(level[at : at + MOST_LINKS], nodes) for at in range(0, len(level), MOST_LINKS)]
    return level[0], nodes


def _join(links: Sequence[Link], nodes: dict[Cid, bytes]) -> Link:
    node = encode_file(links)
    cid = _cid_of(node)
    nodes[cid] = node
    return Link(cid, sum(each.size_bytes for each in links), len(node) + sum(each.total_bytes for each in links))


def encode_file(links: Sequence[Link]) -> bytes:
    """The node of a file's parts.

    Args:
        links: To the parts, in order.
    """
    data = _number(1, _FILE) + _number(3, sum(link.size_bytes for link in links))
    data += b"".join(_number(4, link.size_bytes) for link in links)
    return _encode(links, data)


def directory(entries: Mapping[str, Link]) -> tuple[Link, bytes]:
    """A folder: what leads to it, and its node.

    Args:
        entries: Name -> what leads to the file or folder.

    Raises:
        MalformedError: A name is none, or there are more than 1000.
    """
    if len(entries) > MOST_ENTRIES:
        raise MalformedError(f"a folder of {len(entries)} entries; at most {MOST_ENTRIES} are written in one node")
    links = [
        Link(link.cid, 0, link.total_bytes, _check_name(name))
        for name, link in sorted(entries.items(), key=lambda entry: entry[0].encode())
    ]
    node = _encode(links, _number(1, _FOLDER))
    return Link(_cid_of(node), 0, len(node) + sum(link.total_bytes for link in links)), node


def read_node(data: bytes, *, limit_bytes: int = LARGEST_NODE_BYTES) -> Node:
    """A node from its bytes, whose digest somebody has checked or will check.

    Args:
        data: The block.
        limit_bytes: Largest node that is looked at.

    Raises:
        MalformedError: It is no file or folder in the layout that this module writes.

    Law: read_node(encode_file(links)).links == tuple(links).
    """
    if len(data) > limit_bytes:
        raise MalformedError(f"a node of {len(data)} bytes; at most {limit_bytes} are read")
    try:
        node = _read(data)
    except ValueError as error:
        raise MalformedError(f"a node of UnixFS is damaged, or laid out in another way: {error}") from error
    if node.total_bytes > 2 * LARGEST_BYTES or node.size_bytes > LARGEST_BYTES:
        raise MalformedError(f"a node says that it leads to more than {LARGEST_BYTES} bytes")
    if _written(node) != data:
        raise MalformedError("a node says something that no file or folder of 1 MiB chunks says, or in another way")
    return node


def _read(data: bytes) -> Node:
    """What a node says, leniently: whatever is passed over here is missed when it is written again."""
    links: list[Link] = []
    numbers: list[tuple[int, int]] = []
    for field in walk(data):
        body = data[field.begin : field.end]
        if field.number == 2 and len(links) < MOST_LINKS:
            links.append(_read_link(body))
        elif field.number == 1 and not numbers:
            numbers = [(inner.number, inner.value) for inner in islice(walk(body), MOST_LINKS + 2)]
            if not numbers:
                raise ValueError("nothing is in its data")
        else:
            raise ValueError(f"it has more than {MOST_LINKS} links, data twice, or something else")
    if (1, _FOLDER) in numbers:
        return Node(True, tuple(links))
    if (1, _SHARDED_FOLDER) in numbers:
        raise ValueError("it is a folder that is spread over several nodes (HAMT)")
    sizes = [value for number, value in numbers if number == 4]
    if not links or len(sizes) != len(links) or any(link.name for link in links):
        raise ValueError(f"a file with {len(links)} links and the sizes of {len(sizes)}, or with names")
    sized = zip(links, sizes, strict=True)
    return Node(False, tuple(Link(link.cid, size, link.total_bytes) for link, size in sized))


def _read_link(body: bytes) -> Link:
    parts: dict[int, bytes] = {}
    total = 0
    for field in islice(walk(body), 4):  # one more than it has
        parts[field.number] = body[field.begin : field.end]
        total = field.value if field.number == 3 else total
    cid = read_cid(parts.get(1, b""), where="a link of a node")
    return Link(cid, 0, total, parts.get(2, b"").decode("utf-8"))


def _written(node: Node) -> bytes:
    return directory({link.name: link for link in node.links})[1] if node.is_folder else encode_file(node.links)


def _cid_of(node: bytes) -> Cid:
    return Cid(DAG_PB, hashlib.sha256(node).digest())


def _check_name(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME or name in (".", "..") or "/" in name or "\x00" in name:
        raise MalformedError(f"a folder cannot have an entry called {name[:80]!r}")
    return name


def _encode(links: Sequence[Link], data: bytes) -> bytes:
    """PBNode: links first, then the data, as ipld.io/specs/codecs/dag-pb orders them."""
    parts = []
    for link in links:
        body = _bytes(1, bytes(link.cid)) + _bytes(2, link.name.encode()) + _number(3, link.total_bytes)
        parts.append(_bytes(2, body))
    return b"".join((*parts, _bytes(1, data)))


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value
