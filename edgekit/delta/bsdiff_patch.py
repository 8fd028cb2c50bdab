"""The codec "bsdiff": Colin Percival's format BSDIFF40, which says a file as sums with stretches of an older one.

It is good where many bytes change by little, as a fine-tuned net's weights do. `bsdiff4` makes it; applying needs numpy
and the standard library alone, and stock `bspatch` reads the same bytes.

    "BSDIFF40", then three integers: compressed bytes of the first and of the second block, bytes of the new file
    three bzip2 streams: triples (add, copy, seek); bytes that are added to old ones; bytes that are new

An integer has 8 bytes, little endian: 63 bits of magnitude and a sign.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.errors import MalformedError
from edgekit.types.qparams import Array

MAGIC = b"BSDIFF40"
HEADER_BYTES = 32
LARGEST_NUMBER = 2**36
"""So that no sum of them overflows."""
_TRIPLE_BYTES = 24
_SPAN = 8
"""bsdiff moves on by more bytes than that with each triple but a few."""
_MORE_TRIPLES = 64
_STRIP_BYTES = 2**18
"""Bytes that are worked on at once."""


def make_bsdiff(old: bytes, new: bytes) -> bytes:
    """The patch that makes `new` of `old`.

    Raises:
        ModuleNotFoundError: `bsdiff4` is not installed.
    """
    import bsdiff4  # comes with an extra, and is not needed to apply

    patch: bytes = bsdiff4.diff(old, new)
    return patch


def apply_bsdiff(old: memoryview, delta: memoryview, *, size_bytes: int) -> bytes:
    """The new file.

    Takes no more memory than some six times `size_bytes`, whatever the patch says.

    Args:
        old: The base.
        delta: The patch.
        size_bytes: Of the new file; another size is refused before anything is unpacked.

    Raises:
        MalformedError: It is no such patch, or not one for a base of this size.
    """
    blocks = _read(delta, size_bytes)
    plan = _plan(blocks.control, len(blocks.sums), len(blocks.news), len(old), size_bytes)
    result = np.zeros(size_bytes, np.uint8)
    base = np.frombuffer(old, np.uint8)
    for start, places, sources in _strips(plan.sum_at, plan.add, plan.new_at, plan.old_at):
        result[places] = base[sources] + blocks.sums[start : start + len(places)]
    for start, places, _ in _strips(plan.extra_at, plan.copy, plan.new_at + plan.add, plan.new_at):
        result[places] = blocks.news[start : start + len(places)]
    return result.tobytes()


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The unpacked streams: triples as int64 of shape (N, 3), bytes to add, bytes that are new."""

    control: Array
    sums: Array
    news: Array


@dataclass(frozen=True, eq=False)
class _Plan:
    """For each of N triples, int64: how many bytes are added and copied, and where each stretch begins.

    In the new file, in the old one, in the block of sums, and in that of new bytes.
    """

    add: Array
    copy: Array
    new_at: Array
    old_at: Array
    sum_at: Array
    extra_at: Array


def _read(delta: memoryview, size_bytes: int) -> _Blocks:
    if len(delta) < HEADER_BYTES or bytes(delta[:8]) != MAGIC:
        raise MalformedError("no bsdiff patch: it does not begin with BSDIFF40")
    control_bytes, sum_bytes, announced = _integers(bytes(delta[8:HEADER_BYTES])).tolist()
    if announced != size_bytes:
        raise MalformedError(f"a bsdiff patch for a file of {announced} bytes, not {size_bytes}")
    if min(control_bytes, sum_bytes) < 0 or control_bytes + sum_bytes > len(delta) - HEADER_BYTES:
        raise MalformedError("a bsdiff patch that is shorter than it says")
    middle, last = HEADER_BYTES + control_bytes, HEADER_BYTES + control_bytes + sum_bytes
    most_triples = size_bytes // _SPAN + _MORE_TRIPLES
    control = _unpack(delta[HEADER_BYTES:middle], most_triples * _TRIPLE_BYTES, "triples")
    if len(control) % _TRIPLE_BYTES:
        raise MalformedError("a bsdiff patch with a triple cut off")
    sums = _unpack(delta[middle:last], size_bytes, "sums")
    news = _unpack(delta[last:], size_bytes - len(sums), "new bytes")
    triples = _integers(control).reshape(-1, 3)
    return _Blocks(triples, np.frombuffer(sums, np.uint8), np.frombuffer(news, np.uint8))


def _unpack(block: memoryview, limit_bytes: int, what: str) -> bytes:
    """One bzip2 stream, whole, of no more than `limit_bytes`."""
    reader = bz2.BZ2Decompressor()
    try:
        found = reader.decompress(block, limit_bytes + 1)
    except (OSError, EOFError, ValueError) as error:
        raise MalformedError(f"a bsdiff patch whose {what} cannot be unpacked: {error}") from error
    if len(found) > limit_bytes:
        raise MalformedError(f"a bsdiff patch with more {what} than the new file has room for")
    if not reader.eof or reader.unused_data:
        raise MalformedError(f"a bsdiff patch whose {what} are cut off, or followed by something else")
    return found


def _integers(data: bytes) -> Array:
    """Sign and magnitude, as int64."""
    raw = np.frombuffer(data, "<u8")
    magnitude = (raw & np.uint64(2**63 - 1)).astype(np.int64)
    if magnitude.max(initial=0) > LARGEST_NUMBER:
        raise MalformedError(f"a bsdiff patch with a number beyond {LARGEST_NUMBER}")
    return np.where(raw >> np.uint64(63), -magnitude, magnitude)


def _plan(control: Array, sum_bytes: int, extra_bytes: int, old_bytes: int, size_bytes: int) -> _Plan:
    add, copy, seek = control[:, 0], control[:, 1], control[:, 2]
    if add.min(initial=0) < 0 or copy.min(initial=0) < 0:
        raise MalformedError("a bsdiff patch with a stretch of fewer than 0 bytes")
    if (int(add.sum()), int(copy.sum())) != (sum_bytes, extra_bytes) or sum_bytes + extra_bytes != size_bytes:
        raise MalformedError("a bsdiff patch whose stretches do not make up the new file")
    old_at = _before(add + seek)
    used = add > 0
    if np.any(old_at[used] < 0) or np.any(old_at[used] + add[used] > old_bytes):
        raise MalformedError("a bsdiff patch that reaches beyond the base", hint="it was made for another file")
    return _Plan(add, copy, _before(add + copy), old_at, _before(add), _before(copy))


def _before(counts: Array) -> Array:
    """Sum of all that precede each."""
    sums: Array = np.cumsum(counts) - counts
    return sums


def _strips(begins: Array, counts: Array, places: Array, sources: Array) -> Iterator[tuple[int, Array, Array]]:
    """A block strip by strip: where a strip begins, and for each of its bytes the place in the new file and in the old.

    Args:
        begins: Where each stretch begins in the block.
        counts: Its bytes.
        places: Where it begins in the new file.
        sources: Where it begins in the old one.
    """
    total = int(counts.sum())
    for start in range(0, total, _STRIP_BYTES):
        stop = min(start + _STRIP_BYTES, total)
        first = int(np.searchsorted(begins, start, side="right")) - 1
        part = slice(first, int(np.searchsorted(begins, stop, side="left")))
        ends = np.minimum(begins[part] + counts[part], stop)
        lengths = ends - np.maximum(begins[part], start)
        bytes_at = np.arange(start, stop)
        yield (
            start,
            bytes_at + np.repeat(places[part] - begins[part], lengths),
            bytes_at + np.repeat(sources[part] - begins[part], lengths),
        )
