"""Tiles (c2sp.org/tlog-tiles): a log's tree cut into files of 256 hashes, and its entries into bundles of 256.

The tile n of level l holds the hashes of the subtrees of 256**l leaves each, from number 256 * n on. The last tile of a
level may be partial; a full one hashes to an entry of the level above. So a few small static files answer any question
about a log, and whoever has its root hash can tell whether they are the right ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.errors import InputError, MalformedError
from edgekit.transparency.merkle import HASH_BYTES, node_hash, subtrees

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
ENTRIES = "entries"
"""What stands in the place of the level in the name of a bundle of entries."""
LARGEST_ENTRY_BYTES = 2**16 - 1
LARGEST_BUNDLE_BYTES = TILE_WIDTH * (2 + LARGEST_ENTRY_BYTES)
_LENGTH_BYTES = 2


def tile_name(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Where a log keeps a tile, below its URL.

    Args:
        level: 0 for the hashes of entries; ENTRIES for the entries themselves.
        index: Number of the tile at that level.
        width: Hashes, or entries, in it; less than 256 in a partial one.

    >>> tile_name(0, 1234067)
    'tile/0/x001/x234/067'
    >>> tile_name("entries", 0, 7)
    'tile/entries/000.p/7'
    """
    places = [f"{index % 1000:03d}"]
    while index := index // 1000:
        places.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(places))}{partial}"


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes a tile has in a log of `size` entries; 0 where it has no such tile."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - TILE_WIDTH * index))


def edge(size: int) -> list[tuple[int, int, int]]:
    """Level, number and width of each partial tile of a log: together they determine its root hash.

    >>> edge(70_000)
    [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    """
    levels = range(0, (size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT)
    counts = ((level, size >> TILE_HEIGHT * level) for level in levels)
    return [(level, count // TILE_WIDTH, count % TILE_WIDTH) for level, count in counts if count % TILE_WIDTH]


class TileHashes:
    """The hashes of a tile, and those of the subtrees that are complete in it.

    Attributes:
        levels: `levels[k][n]` is the hash of the tile's entries from n * 2**k to before (n + 1) * 2**k.
    """

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.levels: list[list[bytes]] = [list(hashes)]
        while len(row := self.levels[-1]) > 1:
            self.levels.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])

    @property
    def root(self) -> bytes:
        """Hash of a full tile, as the level above has it."""
        return self.levels[TILE_HEIGHT][0]

    @property
    def parts(self) -> list[bytes]:
        """Hashes of the largest complete subtrees that make up a partial tile, from left to right."""
        return [self.levels[level][place] for level, place in subtrees(0, len(self.levels[0]))]

    def to_bytes(self) -> bytes:
        """As the file of the tile."""
        return b"".join(self.levels[0])


def split_tile(data: bytes) -> list[bytes]:
    """The hashes in a tile's file."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def write_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle: before each its length, two bytes.

    Raises:
        InputError: An entry is longer than 65535 bytes.
    """
    for entry in entries:
        check_entry(entry)
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES) + entry for entry in entries)


def read_bundle(data: bytes, count: int, *, where: str, whole: bool = True) -> list[bytes]:
    """The first entries of a bundle.

    Args:
        data: The bundle.
        count: How many.
        where: What it is, for messages.
        whole: Whether it may hold no more.

    Raises:
        MalformedError: It ends early, or goes on.
    """
    found: list[bytes] = []
    at = 0
    for _ in range(count):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start])
        if at > len(data) or start > len(data):
            raise MalformedError(f"{where} ends within its entry {len(found)}")
        found.append(data[start:at])
    if whole and at < len(data):
        raise MalformedError(f"{where} has {len(data) - at} bytes after its {count} entries")
    return found


def check_entry(entry: bytes) -> bytes:
    """An entry that a bundle can hold.

    Raises:
        InputError: It is longer than 65535 bytes.
    """
    if len(entry) > LARGEST_ENTRY_BYTES:
        raise InputError(f"an entry of {len(entry)} bytes; a log takes at most {LARGEST_ENTRY_BYTES}")
    return entry
