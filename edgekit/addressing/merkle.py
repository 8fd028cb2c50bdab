"""The merkle tree of BitTorrent v2 (BEP 52): sha256 over blocks of 16 KiB, a binary tree above them.

Leaves beyond the file's end are 32 zero bytes. The digests of the level whose nodes each cover one piece are the piece
layer: with them every piece can be held against the root by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit.addressing.parts import Parts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BLOCK_BYTES = 2**14
DIGEST_BYTES = 32
_NO_BLOCK = bytes(DIGEST_BYTES)


class PiecesRoot:
    """The tree of one file, while its bytes stream by; memory grows by 32 bytes a piece.

    Args:
        piece_length: Bytes of a piece: a power of two of at least 16 KiB.
    """

    def __init__(self, piece_length: int) -> None:
        self._levels = (piece_length // BLOCK_BYTES).bit_length() - 1
        self._blocks = Parts(BLOCK_BYTES)
        self._layer: list[bytes] = []
        self._root = b""

    def update(self, chunk: ReadableBuffer) -> None:
        """Take the next bytes."""
        self._blocks.update(chunk)
        self._fold_whole()

    def finish(self) -> bytes:
        """The root, 32 bytes.

        Law: it does not depend on the length of the pieces, nor on the chunks that the bytes came in.
        """
        blocks = self._blocks.finish()
        self._fold_whole()
        if not self._layer:
            self._root = fold(blocks, levels_of(len(blocks)))
            return self._root
        if blocks:
            self._layer.append(fold(blocks, self._levels))
        self._root = root_of_layer(self._layer, self._levels)
        return self._root

    @property
    def piece_layer(self) -> bytes:
        """Digests of the pieces one behind the other; empty for a file of a single piece, which needs none."""
        return b"".join(self._layer) if len(self._layer) > 1 else b""

    def _fold_whole(self) -> None:
        blocks, count = self._blocks.digests, 2**self._levels
        whole = len(blocks) - len(blocks) % count
        self._layer += [fold(blocks[at : at + count], self._levels) for at in range(0, whole, count)]
        del blocks[:whole]


def fold(digests: Sequence[bytes], levels: int, *, beyond: bytes = _NO_BLOCK) -> bytes:
    """The digest that stands so many levels above some others.

    Args:
        digests: At least one and at most 2**levels, in order.
        levels: How many.
        beyond: What stands where no digest is.
    """
    level, new = list(digests), hashlib.sha256
    for _ in range(levels):
        if len(level) % 2:
            level.append(beyond)
        level = [new(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
        beyond = new(beyond + beyond).digest()
    return level[0]


def root_of_layer(layer: Sequence[bytes], levels: int) -> bytes:
    """The root above a piece layer.

    Args:
        layer: Digests of the pieces, at least one.
        levels: From the blocks up to the layer: log2 of the blocks in a piece.
    """
    beyond = _NO_BLOCK
    for _ in range(levels):
        beyond = hashlib.sha256(beyond + beyond).digest()
    return fold(layer, levels_of(len(layer)), beyond=beyond)


def levels_of(count: int) -> int:
    """Levels of the smallest tree with so many leaves.

    >>> [levels_of(count) for count in (1, 2, 3, 4, 5)]
    [0, 1, 2, 2, 3]
    """
    return (count - 1).bit_length()
