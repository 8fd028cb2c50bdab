"""A tree of blocks on a shelf as one CAR, made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.addressing.car import before_block, header_of
from edgekit.addressing.cid import DAG_PB, Cid
from edgekit.addressing.unixfs import read_node
from edgekit.gateway.shelf import Shelf
from edgekit.gateway.stored import Content, Held


@dataclass(frozen=True)
class Car:
    """A CAR that is given out whole.

    Attributes:
        parts: What it is made of, in order.
    """

    parts: tuple[Content, ...]

    @property
    def size_bytes(self) -> int:
        """How many."""
        return sum(part.size_bytes for part in self.parts)

    def read(self, start: int, stop: int) -> Iterator[memoryview]:
        """All of it, in slices, or nothing where `stop` is 0; see `Content.read`."""
        for part in self.parts if stop > start else ():
            yield from part.read(0, part.size_bytes)


def car_of(shelf: Shelf, root: Cid, *, deep: bool) -> Car | None:
    """The CAR of a tree: each block once, depth first.

    Args:
        shelf: Where its blocks are.
        root: Of the tree.
        deep: With all that is below the root.

    Returns:
        The CAR; None where a block is not on the shelf.
    """
    parts: list[Content] = [Held(header_of(root))]
    seen: set[Cid] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid in seen:
            continue
        seen.add(cid)
        block = shelf.block(cid)
        if block is None:
            return None
        parts += [Held(before_block(cid, block.size_bytes)), block]
        if deep and cid.codec == DAG_PB:
            node = read_node(b"".join(block.read(0, block.size_bytes)))
            waiting += [link.cid for link in reversed(node.links)]
    return Car(tuple(parts))
