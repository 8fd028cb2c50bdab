"""The tree of a file in IPFS: which blocks hold which of its bytes, asked for node by node.

Edgekit's files have one layout (`edgekit.addressing.unixfs`), so that the size of a file alone says how deep its tree
is, how many links each node has and what lies below each of them. A node that says otherwise is refused, whoever signed
it: the walk is bounded by the size, and never believes a number that came from outside.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgekit.addressing.cid import DAG_PB, RAW, Cid, parse_cid
from edgekit.addressing.unixfs import CHUNK_BYTES, LARGEST_NODE_BYTES, MOST_LINKS, Node, read_node
from edgekit.errors import AbsentError, MalformedError
from edgekit.types.blob import Blob, check_sha256, check_size

MOST_KEPT_NODES = 16
"""Of 1024 links each, 100 kB on the wire: a gibibyte of a file hangs below each."""

Read = Callable[[Cid, int], bytes]
"""Brings a block, held against its CID, that has at most so many bytes."""


@dataclass(frozen=True)
class Leaf:
    """A block of a file's own bytes.

    Attributes:
        cid: Its name.
        start: Where in the file it begins.
        stop: One past its last byte there.
    """

    cid: Cid
    start: int
    stop: int


class Trees:
    """Walks trees, and keeps the nodes that it saw last. May be used from several threads at once."""

    def __init__(self, read: Read, *, source: str) -> None:
        """Prepare.

        Args:
            read: Brings a block.
            source: Whom errors name.
        """
        self._read = read
        self._source = source
        self._kept: OrderedDict[tuple[Cid, int], Node] = OrderedDict()
        self._lock = threading.Lock()

    def leaves(self, blob: Blob, start: int, stop: int) -> Iterator[Leaf]:
        """The leaves that hold some bytes of a blob, in order; a node is asked for when the walk comes to it.

        Args:
            blob: What. Where nobody signed what IPFS calls it, its pieces of 1 MiB are the leaves, and up to that size
                it is one itself.
            start: First byte.
            stop: One past the last byte, at most `blob.size_bytes`.

        Raises:
            AbsentError: Nothing says what its blocks are called.
            MalformedError: What it is called is no name, or leads to another layout.
        """
        check_size(blob.size_bytes, where=f"the size of blob {blob.sha256[:12]}")
        wanted = range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES))
        if blob.addresses is None or blob.size_bytes <= CHUNK_BYTES:
            known = _signed_leaves(blob, self._source)
            yield from (_leaf(blob, number, known[number]) for number in wanted)
            return
        root = parse_cid(blob.addresses.cid, where=f"the CID of blob {blob.sha256[:12]}")
        depth, below = 1, MOST_LINKS
        while below * CHUNK_BYTES < blob.size_bytes:
            depth, below = depth + 1, below * MOST_LINKS
        yield from self._walk(blob, root, depth, 0, wanted)

    def _walk(self, blob: Blob, cid: Cid, depth: int, number: int, wanted: range) -> Iterator[Leaf]:
        """The wanted leaves below a node, which begins at the leaf of some number."""
        if cid.codec != (DAG_PB if depth else RAW):
            raise MalformedError(f"blob {blob.sha256[:12]}: {cid} is no {'node' if depth else 'leaf'} of its tree")
        if not depth:
            yield _leaf(blob, number, cid)
            return
        below = MOST_LINKS ** (depth - 1)
        size_bytes = min(blob.size_bytes, (number + below * MOST_LINKS) * CHUNK_BYTES) - number * CHUNK_BYTES
        for link in self._node(cid, size_bytes, below * CHUNK_BYTES).links:
            if number < wanted.stop and number + below > wanted.start:
                yield from self._walk(blob, link.cid, depth - 1, number, wanted)
            number += below

    def _node(self, cid: Cid, size_bytes: int, each_bytes: int) -> Node:
        """A node with so many bytes of the file below it, so many below each link but the last."""
        with self._lock:
            if (cid, size_bytes) in self._kept:
                self._kept.move_to_end((cid, size_bytes))
                return self._kept[cid, size_bytes]
        data = self._read(cid, LARGEST_NODE_BYTES)
        try:
            node = read_node(data)
        except MalformedError as error:
            raise MalformedError(f"{cid}: {error}") from error
        expected = [min(each_bytes, size_bytes - at) for at in range(0, size_bytes, each_bytes)]
        if node.is_folder or [link.size_bytes for link in node.links] != expected:
            raise MalformedError(f"{cid} is no node of a file with {size_bytes} bytes below it, in chunks of 1 MiB")
        with self._lock:
            self._kept[cid, size_bytes] = node
            if len(self._kept) > MOST_KEPT_NODES:
                self._kept.popitem(last=False)
        return node


def _leaf(blob: Blob, number: int, cid: Cid) -> Leaf:
    return Leaf(cid, number * CHUNK_BYTES, min((number + 1) * CHUNK_BYTES, blob.size_bytes))


def _signed_leaves(blob: Blob, source: str) -> list[Cid]:
    """All leaves of a blob, from its digests.

    Raises:
        AbsentError: They do not say it.
    """
    digests: tuple[str, ...] = ()
    if blob.size_bytes <= CHUNK_BYTES:
        digests = (blob.sha256,)
    elif blob.pieces and blob.pieces.length_bytes == CHUNK_BYTES:
        digests = blob.pieces.sha256
    where = f"blob {blob.sha256[:12]}"
    if len(digests) != max(1, -(-blob.size_bytes // CHUNK_BYTES)):
        raise AbsentError(f"nobody signed what IPFS calls {where} of {blob.size_bytes} bytes", source=source)
    return [Cid(RAW, bytes.fromhex(check_sha256(digest, where=where))) for digest in digests]
