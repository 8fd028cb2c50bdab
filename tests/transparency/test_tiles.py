"""Tiles: their names and widths as the specification has them, and bundles of entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, ProofError
from edgekit.transparency.merkle import leaf_hash
from edgekit.transparency.tile_reader import TileReader
from edgekit.transparency.tiles import (
    ENTRIES,
    LARGEST_ENTRY_BYTES,
    TileHashes,
    edge,
    read_bundle,
    split_tile,
    tile_name,
    tile_width,
    write_bundle,
)
from edgekit.transport.names import check_name
from tests.transparency.recursive_tree import mth


@pytest.mark.parametrize(
    ("level", "index", "width", "name"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 999, 256, "tile/1/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (3, 1234067, 1, "tile/3/x001/x234/067.p/1"),
        (63, 123456789, 255, "tile/63/x123/x456/789.p/255"),
        (ENTRIES, 1234067, 8, "tile/entries/x001/x234/067.p/8"),
    ],
)
def test_names(level: int | str, index: int, width: int, name: str) -> None:
    assert tile_name(level, index, width) == name
    assert check_name(f"log/{name}") == f"log/{name}"


@given(st.integers(0, 2**63 - 1))
def test_every_number_is_one_name_that_says_it(index: int) -> None:
    digits = tile_name(0, index).removeprefix("tile/0/").replace("/", "").replace("x", "")
    assert int(digits) == index


def test_the_specifications_tree_of_70000() -> None:
    """273 full and a partial tile of 112; a full and a partial of 17; a partial of 1."""
    assert edge(70_000) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert [tile_width(0, index, 70_000) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(1, index, 70_000) for index in (0, 1, 2)] == [256, 17, 0]
    assert edge(256) == [(1, 0, 1)]
    assert tile_width(0, 0, 256) == 256
    assert edge(0) == []


@given(st.integers(0, 2**63 - 1))
def test_the_partial_tiles_make_up_the_size(size: int) -> None:
    assert sum(width << 8 * level for level, _, width in edge(size)) == size
    for level, index, width in edge(size):
        assert tile_width(level, index, size) == width


@given(st.integers(1, 256))
def test_hashes_within_a_tile(width: int) -> None:
    """`levels[k][n]` is the hash of 2**k leaves, and nothing is there that is not complete."""
    entries = [b"%d" % number for number in range(width)]
    tile = TileHashes([leaf_hash(entry) for entry in entries])
    for height, row in enumerate(tile.levels):
        assert row == [mth(entries[n << height : (n + 1) << height]) for n in range(width >> height)]
    assert split_tile(tile.to_bytes()) == tile.levels[0]
    if width == 256:
        assert tile.root == mth(entries)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_are_read_as_they_were_written(entries: list[bytes]) -> None:
    data = write_bundle(entries)
    assert read_bundle(data, len(entries), where="x") == entries
    assert read_bundle(data + b"rest", len(entries), where="x", whole=False) == entries
    for wrong, count in ((data, len(entries) + 1), (data + b"\0", len(entries)), (data[:-1], len(entries))):
        if wrong or count:
            with pytest.raises(MalformedError):
                read_bundle(wrong, count, where="x")


def test_the_longest_entry() -> None:
    longest = bytes(LARGEST_ENTRY_BYTES)
    assert read_bundle(write_bundle([longest, b""]), 2, where="x") == [longest, b""]
    with pytest.raises(InputError):
        write_bundle([longest + b"x"])


class Tiles:
    """A `TileSource` of a small tree, where a test changes what it gives, of all tiles or of one."""

    def __init__(
        self, entries: Sequence[bytes], spoil: Callable[[bytes], bytes] = bytes, *, only: tuple[int, int] | None = None
    ) -> None:
        self.entries = entries
        self.spoil = spoil
        self.only = only
        self.asked: list[tuple[int, int]] = []

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.asked.append((level, index))
        leaves = 256**level
        starts = [(index * 256 + row) * leaves for row in range(width)]
        data = b"".join(mth(self.entries[start : start + leaves]) for start in starts)
        return self.spoil(data) if self.only in (None, (level, index)) else data

    def bundle(self, index: int, width: int) -> list[bytes]:
        return list(self.entries[index * 256 : index * 256 + width])


def test_a_reader_reads_each_tile_once() -> None:
    entries = [b"%d" % number for number in range(600)]
    source = Tiles(entries)
    reader = TileReader(600, mth(entries), source)
    for _ in range(2):
        assert reader.hashes([(0, 5), (8, 1), (9, 0), (3, 74)]) == [
            mth(entries[5:6]), mth(entries[256:512]), mth(entries[:512]), mth(entries[592:600]),
        ]  # fmt: skip
        assert list(reader.entries(250, 600)) == entries[250:]
    assert sorted(source.asked) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert list(reader.entries(7, 7)) == []


def test_what_a_tree_does_not_have() -> None:
    entries = [b"%d" % number for number in range(300)]
    reader = TileReader(300, mth(entries), Tiles(entries))
    for node in ((0, 300), (0, -1), (9, 0), (8, 1), (60, 0)):
        with pytest.raises(InputError):
            reader.hashes([node])
    for level, index in ((0, 2), (1, 1), (2, 0)):
        with pytest.raises(InputError):
            reader.tile(level, index)
    for start, stop in ((0, 301), (-1, 5), (6, 5)):
        with pytest.raises(InputError):
            list(reader.entries(start, stop))


@pytest.mark.parametrize("size", [1, 200, 256, 300])
def test_tiles_of_another_tree(size: int) -> None:
    entries = [b"%d" % number for number in range(size)]
    with pytest.raises(ProofError):
        TileReader(size, bytes(32), Tiles(entries)).hashes([(0, 0)])
    for spoil in (lambda data: data[:-1], lambda data: data + b"x", lambda data: b""):
        with pytest.raises(MalformedError):
            TileReader(size, mth(entries), Tiles(entries, spoil)).hashes([(0, 0)])


@pytest.mark.parametrize("tile", [(0, 0), (0, 1), (0, 2), (1, 0)], ids=str)
def test_a_changed_bit_of_a_tile_spoils_what_is_read_from_it(tile: tuple[int, int]) -> None:
    """Also where the hash that was asked for lies in another part of the tile."""
    entries = [b"%d" % number for number in range(600)]
    level, index = tile
    node = (0, index * 256 + 9) if level == 0 else (8, 0)
    for bit in range(0, 8 * 32 * tile_width(level, index, 600), 997):

        def flip(data: bytes, bit: int = bit) -> bytes:
            return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))

        with pytest.raises(ProofError):
            TileReader(600, mth(entries), Tiles(entries, flip, only=tile)).hashes([node])
