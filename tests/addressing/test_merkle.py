"""The tree of BEP 52, held against one that is built naively from the whole file."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.addressing.merkle import BLOCK_BYTES, PiecesRoot, root_of_layer

SIZES = (1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES, 5 * BLOCK_BYTES - 7)


def naive_levels(data: bytes) -> list[list[bytes]]:
    """Every level from the blocks to the root, padded with zero leaves to a power of two."""
    blocks = [hashlib.sha256(data[at : at + BLOCK_BYTES]).digest() for at in range(0, len(data), BLOCK_BYTES)]
    while len(blocks) & (len(blocks) - 1):
        blocks.append(bytes(32))
    levels = [blocks]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([hashlib.sha256(below[at] + below[at + 1]).digest() for at in range(0, len(below), 2)])
    return levels


def some(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def hashed(data: bytes, piece_length: int, chunk: int = 10**9) -> PiecesRoot:
    tree = PiecesRoot(piece_length)
    for at in range(0, len(data), chunk):
        tree.update(data[at : at + chunk])
    return tree


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece_length", [BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES, 16 * BLOCK_BYTES])
def test_root_and_layer(size: int, piece_length: int) -> None:
    data = some(size)
    levels = naive_levels(data)
    tree = hashed(data, piece_length)
    assert tree.finish() == levels[-1][0]
    pieces = -(-size // piece_length)
    if pieces == 1:
        assert tree.piece_layer == b""
        return
    height = (piece_length // BLOCK_BYTES).bit_length() - 1
    assert tree.piece_layer == b"".join(levels[height][:pieces])
    layer = [tree.piece_layer[at : at + 32] for at in range(0, 32 * pieces, 32)]
    assert root_of_layer(layer, height) == levels[-1][0]


@settings(max_examples=30)
@given(st.integers(1, 6 * BLOCK_BYTES), st.integers(1, 5 * BLOCK_BYTES), st.sampled_from((1, 2, 4)))
def test_it_depends_on_neither_chunks_nor_pieces(size: int, chunk: int, blocks: int) -> None:
    data = some(size)
    assert hashed(data, blocks * BLOCK_BYTES, max(chunk, 99)).finish() == hashed(data, BLOCK_BYTES).finish()


@settings(max_examples=20)
@given(st.integers(1, 4 * BLOCK_BYTES), st.data())
def test_a_flipped_bit_changes_the_root(size: int, data: st.DataObject) -> None:
    right = some(size)
    at = data.draw(st.integers(0, size * 8 - 1))
    wrong = bytearray(right)
    wrong[at // 8] ^= 1 << at % 8
    assert hashed(bytes(wrong), BLOCK_BYTES).finish() != hashed(right, BLOCK_BYTES).finish()
