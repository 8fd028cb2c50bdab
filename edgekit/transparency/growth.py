"""Growing a log: the tiles that new entries fill, and the root hash that comes of it."""

from __future__ import annotations

from edgekit.transparency.log_files import LogFiles
from edgekit.transparency.merkle import joined, leaf_hash
from edgekit.transparency.tile_reader import TileReader
from edgekit.transparency.tiles import (
    ENTRIES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileHashes,
    edge,
    tile_name,
    write_bundle,
)


class Growth:
    """One append. Tiles are written when they are full, and the partial ones at the end; nothing speaks of them yet.

    Attributes:
        size: Entries with those that were added.
        completed: Names of the tiles that became full: their partial forms are needed no more.
    """

    def __init__(self, files: LogFiles, tree: TileReader) -> None:
        """Take over from a tree.

        Args:
            files: Where tiles are written.
            tree: The log as it is; only its partial tiles are read, which are held against its root hash.
        """
        self.size = tree.size
        self.completed: list[str] = []
        self._files = files
        self._begun = tree.size
        self._rows: list[list[bytes]] = []
        """Hashes in the partial tile of each level."""
        self._bundle: list[bytes] = []
        for level, index, _ in edge(tree.size):
            self._row(level).extend(tree.tile(level, index).levels[0])
        if self._rows and self._rows[0]:
            self._bundle = tree.bundle(tree.size // TILE_WIDTH)

    def add(self, entry: bytes) -> None:
        """One entry more, of at most 65535 bytes."""
        self._bundle.append(entry)
        self._row(0).append(leaf_hash(entry))
        self.size += 1
        level = 0
        while len(self._rows[level]) == TILE_WIDTH:
            self._complete(level)
            level += 1

    def end(self) -> bytes:
        """Write the partial tiles.

        Returns:
            Root hash of the tree.
        """
        parts: list[bytes] = []
        for level, index, width in reversed(edge(self.size)):
            tile = TileHashes(self._rows[level])
            parts += tile.parts
            if self.size >> TILE_HEIGHT * level != self._begun >> TILE_HEIGHT * level:
                self._files.write(tile_name(level, index, width), tile.to_bytes())
        if self._bundle:
            name = tile_name(ENTRIES, self.size // TILE_WIDTH, len(self._bundle))
            self._files.write(name, write_bundle(self._bundle))
        return joined(parts)

    def _complete(self, level: int) -> None:
        """The tile at the end of a level is full: write it, and add its root to the level above."""
        tile = TileHashes(self._rows[level])
        name = tile_name(level, (self.size >> TILE_HEIGHT * level) // TILE_WIDTH - 1)
        self._files.write(name, tile.to_bytes())
        self.completed.append(name)
        self._rows[level] = []
        self._row(level + 1).append(tile.root)
        if level == 0:
            name = tile_name(ENTRIES, self.size // TILE_WIDTH - 1)
            self._files.write(name, write_bundle(self._bundle))
            self.completed.append(name)
            self._bundle = []

    def _row(self, level: int) -> list[bytes]:
        while len(self._rows) <= level:
            self._rows.append([])
        return self._rows[level]
