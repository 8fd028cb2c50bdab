"""Reading a tree from its tiles, wherever they come from: each is held against the root hash before it is used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Protocol

from edgekit.errors import InputError, MalformedError, ProofError
from edgekit.transparency.merkle import HASH_BYTES, Node, joined, leaf_hash
from edgekit.transparency.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    TileHashes,
    edge,
    split_tile,
    tile_name,
    tile_width,
)

_KEPT_TILES = 128


class TileSource(Protocol):
    """Where tiles come from; nothing that it gives is trusted."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """File of a tile, 32 bytes for each hash."""
        ...

    def bundle(self, index: int, width: int) -> list[bytes]:
        """Entries of a bundle."""
        ...


class TileReader:
    """Hashes and entries of a log at one checkpoint, each held against its root hash. Not for several threads at once.

    The partial tiles are read first: they have to hash to the root. Each other tile has to hash to what the tile above
    it says.
    """

    def __init__(self, size: int, root: bytes, source: TileSource) -> None:
        """Prepare; nothing is read yet.

        Args:
            size: Entries at the checkpoint.
            root: Its root hash.
            source: Where tiles come from.
        """
        self.size = size
        self._root = root
        self._source = source
        self._edge: dict[tuple[int, int], TileHashes] | None = None
        self._kept: OrderedDict[tuple[int, int], TileHashes] = OrderedDict()

    def hashes(self, nodes: Sequence[Node]) -> list[bytes]:
        """Hashes of complete subtrees; see `merkle.HashReader`.

        Raises:
            InputError: One of them is not in the tree.
            ProofError: A tile does not belong to the tree.
            MalformedError: A tile has the wrong length.
            TransportError: A tile cannot be read.
        """
        found = []
        for level, place in nodes:
            tile_level, height = divmod(level, TILE_HEIGHT)
            tile, row = divmod(place, TILE_WIDTH >> height)
            if place < 0 or (place + 1) << level > self.size:
                raise InputError(f"a tree of {self.size} leaves has no subtree {place} of level {level}")
            found.append(self.tile(tile_level, tile).levels[height][row])
        return found

    def tile(self, level: int, index: int) -> TileHashes:
        """A tile that belongs to the tree.

        Raises:
            InputError: The tree has no such tile.
            ProofError: What was read does not belong to the tree.
            MalformedError: It has the wrong length.
            TransportError: It cannot be read.
        """
        if self._edge is None:
            self._edge = self._read_edge()
        place = (level, index)
        if place in self._edge:
            return self._edge[place]
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        if tile_width(level, index, self.size) < TILE_WIDTH:
            raise InputError(f"a log of {self.size} entries has no tile {index} of level {level}")
        above, row = divmod(index, TILE_WIDTH)
        expected = self.tile(level + 1, above).levels[0][row]
        found = self._read(level, index, TILE_WIDTH)
        if found.root != expected:
            raise ProofError(f"{tile_name(level, index)} does not belong to this log at {self.size} entries")
        self._kept[place] = found
        if len(self._kept) > _KEPT_TILES:
            self._kept.popitem(last=False)
        return found

    def bundle(self, index: int) -> list[bytes]:
        """The entries of a bundle, each the one that the tree has in its place.

        Raises:
            InputError: The tree has no such bundle.
            ProofError: What was read does not belong to the tree.
            MalformedError: It breaks its format.
            TransportError: It cannot be read.
        """
        hashes = self.tile(0, index).levels[0]
        entries = self._source.bundle(index, len(hashes))
        for row, (entry, expected) in enumerate(zip(entries, hashes, strict=True)):
            if leaf_hash(entry) != expected:
                raise ProofError(f"entry {index * TILE_WIDTH + row} is not the one that this log has in that place")
        return entries

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries from `start` to before `stop`.

        Raises:
            InputError: The tree has no such entries.
            TrustError, TransportError: As `bundle`.
        """
        if not 0 <= start <= stop <= self.size:
            raise InputError(f"a log of {self.size} entries has no entries {start} to {stop}")
        for index in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            first = index * TILE_WIDTH
            yield from self.bundle(index)[max(0, start - first) : stop - first]

    def check(self) -> None:
        """Hold the partial tiles against the root hash.

        Raises:
            TrustError, TransportError: As `tile`.
        """
        if self._edge is None:
            self._edge = self._read_edge()

    def _read_edge(self) -> dict[tuple[int, int], TileHashes]:
        found = {(level, index): self._read(level, index, width) for level, index, width in edge(self.size)}
        parts = [part for tile in reversed(found.values()) for part in tile.parts]
        if joined(parts) != self._root:
            raise ProofError(f"the tiles at the end of this log do not hash to its root at {self.size} entries")
        return found

    def _read(self, level: int, index: int, width: int) -> TileHashes:
        data = self._source.tile(level, index, width)
        if len(data) != width * HASH_BYTES:
            raise MalformedError(f"{tile_name(level, index, width)} has {len(data)} bytes, not {width * HASH_BYTES}")
        return TileHashes(split_tile(data))
