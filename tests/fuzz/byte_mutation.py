"""Mutations of bytes that know nothing of what they are: bits, spans, ends, and parts of another specimen."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

INTERESTING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"0", b"9", b"-")
LARGEST_EXTENSION = 70_000


def mutate_bytes(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A few changes, seldom many.

    Args:
        random: Decides.
        data: A specimen.
        others: Specimens of which parts may be taken.
    """
    found = data
    for _ in range(random.choice((1, 1, 1, 1, 2, 3, 8))):
        found = _once(random, found, others)
    return found


def _once(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    how = random.randrange(11)
    start, stop = _span(random, len(data))
    if how <= 2 and data:
        return _with_bit(data, random.randrange(len(data)), random.randrange(8))
    if how == 3:
        return data[:start] + random.choice(INTERESTING) + data[start + 1 :]
    if how == 4:
        return data[:start] + random.randbytes(random.choice((1, 2, 4, 16))) + data[start:]
    if how == 5:
        return data[:start] + data[stop:]
    if how == 6:
        return data[:stop] + data[start:]
    if how == 7:
        return data[:start]
    if how == 8:
        return data + _extension(random, data)
    if how == 9 and others:
        other = random.choice(others)
        first, last = _span(random, len(other))
        return data[:start] + other[first:last] + data[random.choice((start, stop)) :]
    return data[:start] + random.choice(INTERESTING) * random.choice((1, 3, 40)) + data[start:]


def _with_bit(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def _span(random: Random, length: int) -> tuple[int, int]:
    start = random.randrange(length + 1)
    return start, min(length, start + random.choice((1, 2, 4, 16, 64, 512, length)))


def _extension(random: Random, data: bytes) -> bytes:
    how = random.randrange(4)
    length = random.choice((1, 7, 512, 1024, LARGEST_EXTENSION))
    if how == 0:
        return bytes(length)
    if how == 1:
        return random.randbytes(length)
    if how == 2:
        return b" " * length
    return data[:LARGEST_EXTENSION]
