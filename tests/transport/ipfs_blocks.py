"""Blobs with their addresses, and their blocks as a gateway of IPFS serves them from the hostile server."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.addressing.cid import RAW, Cid, parse_cid
from edgekit.addressing.unixfs import CHUNK_BYTES, FileDag
from edgekit.types.blob import Addresses, Blob
from tests.transport.blobs import noise

QUERY = "?format=raw"


@dataclass(frozen=True)
class InIpfs:
    """A blob, its bytes, and its blocks by the path of their request."""

    blob: Blob
    data: bytes
    blocks: dict[str, bytes]

    @property
    def root(self) -> str:
        """Path of the block that leads to the whole."""
        assert self.blob.addresses
        return path_of(self.blob.addresses.cid)

    def leaf(self, number: int) -> str:
        """Path of a leaf."""
        return path_of(str(Cid(RAW, self._dag.leaves[number])))

    @property
    def _dag(self) -> FileDag:
        dag = FileDag()
        dag.update(self.data)
        dag.finish()
        return dag


def in_ipfs(size_bytes: int, *, seed: int = 0) -> InIpfs:
    """A blob of noise whose infohash and root of pieces are made up: nothing here looks at them."""
    made = noise(size_bytes, seed=seed)
    dag = FileDag()
    dag.update(made.data)
    cid = dag.finish()
    blocks = {path_of(str(node)): data for node, data in dag.nodes.items()}
    for number, digest in enumerate(dag.leaves):
        blocks[path_of(str(Cid(RAW, digest)))] = made.data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
    return InIpfs(replace(made.blob, addresses=Addresses(cid, "0" * 64, "1" * 64)), made.data, blocks)


def called(blob: Blob, cid: str) -> Blob:
    """The same blob under another CID."""
    assert blob.addresses
    parse_cid(cid)
    return replace(blob, addresses=replace(blob.addresses, cid=cid))


def path_of(cid: str) -> str:
    """What the request for a block asks for, as the hostile server names it."""
    return f"ipfs/{cid}{QUERY}"
