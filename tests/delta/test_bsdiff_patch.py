"""The codec "bsdiff": what it makes can be applied by others, and what others make by it; nothing hostile gets far."""

from __future__ import annotations

import bz2
import random
import struct
import tracemalloc
from functools import cache

import bsdiff4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.delta.bsdiff_patch import apply_bsdiff, make_bsdiff
from edgekit.errors import MalformedError
from tests.delta.files import BASE, moved, nudged


def apply(old: bytes, patch: bytes, size_bytes: int) -> bytes:
    return apply_bsdiff(memoryview(old), memoryview(patch), size_bytes=size_bytes)


def packed(triples: list[tuple[int, int, int]], sums: bytes, news: bytes, size_bytes: int) -> bytes:
    """A patch of any content."""
    control = b"".join(integer(number) for triple in triples for number in triple)
    return assembled(bz2.compress(control), bz2.compress(sums), bz2.compress(news), size_bytes)


def assembled(control: bytes, sums: bytes, news: bytes, size_bytes: int) -> bytes:
    header = b"BSDIFF40" + integer(len(control)) + integer(len(sums)) + integer(size_bytes)
    return header + control + sums + news


def integer(number: int) -> bytes:
    return struct.pack("<Q", number if number >= 0 else 2**63 | -number)


@pytest.mark.parametrize("new", [nudged(), moved(), nudged(moved()), b"", b"x", BASE, BASE[:-1], BASE[::-1]])
def test_round_trip(new: bytes) -> None:
    patch = make_bsdiff(BASE, new)
    assert apply(BASE, patch, len(new)) == new
    assert bsdiff4.patch(BASE, patch) == new


def test_many_strips() -> None:
    """More bytes than are worked on at once, in stretches of all lengths."""
    old = random.Random(4).randbytes(900_000)
    pieces = [old[start : start + length] for start in range(0, 800_000, 5000) for length in (17, 4000, 1)]
    new = nudged(b"".join(pieces), every=50) + old
    assert apply(old, make_bsdiff(old, new), len(new)) == new


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_law_every_patch_of_bsdiff4_is_applied(old: bytes, new: bytes) -> None:
    assert apply(old, bsdiff4.diff(old, new), len(new)) == new


def test_as_the_format_says() -> None:
    """Of a seek backwards, and stretches without a byte."""
    patch = packed([(0, 1, 4), (2, 0, -5), (0, 0, 0), (3, 1, 0)], b"\1\0\0\1\xff", b"xy", 7)
    assert apply(b"abcdef", patch, 7) == b"x" + b"ff" + b"bdc" + b"y"


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        (b"", "does not begin"),
        (b"BSDIFF40", "does not begin"),
        (b"BSDIFF41" + bytes(24), "does not begin"),
        (packed([(0, 8, 0)], b"", b"x" * 8, 8), "of 8 bytes, not 7"),
        (assembled(b"x" * 10, b"", b"", 7), "triples cannot be unpacked"),
        (b"BSDIFF40" + integer(-1) + integer(0) + integer(7), "shorter than it says"),
        (b"BSDIFF40" + integer(2**35) + integer(2**35) + integer(7), "shorter than it says"),
        (b"BSDIFF40" + integer(2**60) + integer(0) + integer(7), "beyond"),
        (packed([(2**40, 0, 0)], b"", b"", 7), "beyond"),
        (assembled(bz2.compress(bytes(25)), bz2.compress(b""), bz2.compress(b""), 7), "cut off"),
        (packed([(-1, 0, 0)], b"", b"", 7), "fewer than 0"),
        (packed([(0, -1, 0)], b"", b"", 7), "fewer than 0"),
        (packed([(0, 6, 0)], b"", b"x" * 6, 7), "do not make up"),
        (packed([(3, 4, 0)], b"\0" * 2, b"x" * 4, 7), "do not make up"),
        (packed([(7, 0, 0)], b"\0" * 7, b"", 7), "beyond the base"),
        (packed([(0, 6, -1), (1, 0, 0)], b"\0", b"x" * 6, 7), "beyond the base"),
        (packed([(0, 6, 2**36), (1, 0, 0)], b"\0", b"x" * 6, 7), "beyond the base"),
        (packed([(0, 7, 0)], b"", b"x" * 7, 7) + b"more", "followed by something else"),
        (packed([(0, 7, 0)], b"", b"x" * 7, 7)[:-1], "cut off"),
        (packed([(0, 7, 0)], b"", b"x" * 8, 7), "more new bytes"),
        (packed([(7, 0, 0)], b"\0" * 8, b"", 7), "more sums"),
        (packed([(0, 7, 0)] + [(0, 0, 0)] * 64, b"", b"x" * 7, 7), "more triples"),
    ],
)
def test_what_is_refused(patch: bytes, told: str) -> None:
    with pytest.raises(MalformedError, match=told):
        apply(b"abcdef", patch, 7)


def test_sums_that_would_overflow_do_not() -> None:
    """As many of the largest numbers as there may be: their sum is told apart from a small one."""
    size_bytes = 2**20
    count = size_bytes // 8
    with pytest.raises(MalformedError, match="do not make up"):
        apply(b"abcdef", packed([(2**36, 0, 0)] * count, b"", b"", size_bytes), size_bytes)


@cache
def zeros() -> bytes:
    return bz2.compress(bytes(10**8))


@pytest.mark.parametrize("block", range(3))
def test_a_bomb_takes_no_memory(block: int) -> None:
    """A hundred megabytes of zeros in some hundred bytes, where a few bytes are expected."""
    blocks = [bz2.compress(b"")] * 3
    blocks[block] = zeros()
    assert len(blocks[block]) < 200
    tracemalloc.start()
    with pytest.raises(MalformedError, match="more"):
        apply(BASE, assembled(*blocks, 5000), 5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@given(st.data())
def test_law_a_flipped_bit_is_malformed_or_makes_another_file_of_that_size(data: st.DataObject) -> None:
    """The digest of the result does the rest; nothing else is raised."""
    new = nudged(BASE[:3000])
    patch = bytearray(make_bsdiff(BASE[:3000], new))
    at = data.draw(st.integers(0, 8 * len(patch) - 1))
    patch[at // 8] ^= 1 << at % 8
    try:
        found = apply(BASE[:3000], bytes(patch), len(new))
    except MalformedError:
        return
    assert len(found) == len(new)


@given(st.binary(max_size=200), st.integers(0, 100))
def test_law_garbage_is_malformed(garbage: bytes, size_bytes: int) -> None:
    with pytest.raises(MalformedError):
        apply(BASE, b"BSDIFF40" + garbage, size_bytes)
