"""Patches of each codec, changed inside: their streams are unpacked, changed, and packed again behind their checksums.

A mad publisher can sign any patch. So what is changed is mended where it can be: stretches make up the file again,
integers and symbols are coded anew for another plan. Then it is the last check that counts, and not the first.
"""

from __future__ import annotations

import bz2
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import zstandard

from edgekit.delta import residual
from edgekit.delta.entropy import Encoder
from edgekit.delta.residual_format import Parts, pack, read_parts, write_parts
from edgekit.delta.residual_integers import write_integers
from edgekit.delta.residual_numbers import fold, write_number
from edgekit.delta.residual_plan import Plan, write_plan
from edgekit.delta.residual_plan_reading import read_plan
from edgekit.delta.residual_skeleton import gaps
from edgekit.delta.residual_weights import lane_count
from edgekit.errors import MalformedError
from edgekit.types.qparams import Array
from tests.fuzz.byte_mutation import mutate_bytes

LARGEST_BYTES = 2**22
"""Of files that mutants make."""
NUMBERS = (0, 1, 2, 3, 7, 255, 4096, 65536, 2**20, 2**31 - 1, 2**31, 2**32, 2**36, 2**36 + 1, 2**60)
_SYMBOLS_WITHOUT_BITS = 9


@dataclass(frozen=True)
class Pair:
    """Two versions of a file, and the patch of every codec that has one."""

    old: bytes
    new: bytes
    patches: Mapping[str, bytes]


def mutate_patch(random: Random, codec: str, pair: Pair) -> tuple[bytes, int]:
    """A changed patch, and the size of the file that it says it makes, or is said to make."""
    good = pair.patches[codec]
    if random.random() < 0.15:
        return mutate_bytes(random, good, [pair.old]), len(pair.new)
    data, size_bytes = _INSIDE[codec](random, pair)
    if random.random() < 0.03:
        size_bytes = random.choice((0, 1, size_bytes + 1, max(size_bytes - 1, 0), 2**20, LARGEST_BYTES))
    return data, size_bytes


def _bsdiff(random: Random, pair: Pair) -> tuple[bytes, int]:
    data, size_bytes = pair.patches["bsdiff"], len(pair.new)
    middle = 32 + _integer(data[8:16])
    last = middle + _integer(data[16:24])
    control, sums, news = (bz2.decompress(part) for part in (data[32:middle], data[middle:last], data[last:]))
    numbers = [_integer(control[at : at + 8]) for at in range(0, len(control), 8)]
    triples = [numbers[at : at + 3] for at in range(0, len(numbers), 3)]
    for _ in range(random.choice((1, 1, 2, 3))):
        _change_triples(random, triples, len(pair.old))
    totals = [sum(triple[0] for triple in triples), sum(triple[1] for triple in triples)]
    if random.random() < 0.7 and min(totals) >= 0 and sum(totals) <= LARGEST_BYTES:
        filling = random.choice((b"\0", b"\1", b"\xff"))
        sums, news = (part[:total].ljust(total, filling) for part, total in zip((sums, news), totals, strict=True))
        size_bytes = sum(totals)
    if random.random() < 0.2:
        sums = mutate_bytes(random, sums, [news])
    if random.random() < 0.2:
        news = mutate_bytes(random, news, [sums])
    control = b"".join(eight_bytes(number) for triple in triples for number in triple)
    blocks = [bz2.compress(block) for block in (control[: None if random.random() < 0.95 else -1], sums, news)]
    if random.random() < 0.1:
        at = random.randrange(3)
        blocks[at] = random.choice((blocks[at] + blocks[at], mutate_bytes(random, blocks[at]), bz2.compress(b"")))
    header = [len(blocks[0]), len(blocks[1]), size_bytes]
    if random.random() < 0.05:
        header[random.randrange(3)] = random.choice((-1, -size_bytes, *NUMBERS))
    return b"BSDIFF40" + b"".join(map(eight_bytes, header)) + b"".join(blocks), size_bytes


def _change_triples(random: Random, triples: list[list[int]], old_bytes: int) -> None:
    how = random.randrange(9)
    at = random.randrange(len(triples)) if triples else 0
    if how == 0 and triples:
        triples[at][random.randrange(3)] = random.choice((*NUMBERS, -1, -old_bytes, -(2**36), -(2**62)))
    elif how <= 2 and triples:
        triples[at][2] += random.choice((-1, 1, -triples[at][0], old_bytes, -old_bytes, random.randrange(-999, 999)))
    elif how == 3 and triples:
        del triples[at]
    elif how == 4 and triples:
        triples.insert(random.randrange(len(triples)), list(triples[at]))
    elif how == 5:
        random.shuffle(triples)
    elif how == 6 and triples:
        other, field, count = random.choice(triples), random.randrange(2), random.choice((1, 50, old_bytes))
        triples[at][field] -= count  # below 0 perhaps, while the sums stay
        other[field] += count
    elif how == 7:
        triples += [[0, 0, 0]] * random.choice((1, 60, 64, 65, 2_000))
    else:
        step = random.choice(([1, 0, 0], [1, 0, -1], [0, 1, 0], [old_bytes, 0, -old_bytes], [0, 2**16, 0]))
        triples += [list(step) for _ in range(random.choice((1, 1, 1, 64, 64, 1_000, 5_000)))]


def _integer(data: bytes) -> int:
    """bsdiff's: magnitude and sign."""
    raw = int.from_bytes(data.ljust(8, b"\0"), "little")
    return -(raw & 2**63 - 1) if raw >> 63 else raw


def eight_bytes(number: int) -> bytes:
    return (abs(number) % 2**63 | (number < 0) << 63).to_bytes(8, "little")


def _zstd(random: Random, pair: Pair) -> tuple[bytes, int]:
    how = random.random()
    if how < 0.5:
        return _written_frame(random, pair.old)
    content = mutate_bytes(random, pair.new, [pair.old])
    if how < 0.6:
        content = random.choice((bytes(LARGEST_BYTES), pair.old * 20, b"", pair.old))
    parameters = zstandard.ZstdCompressionParameters(
        compression_level=1,
        window_log=random.choice((10, 17, 20, 23)),
        write_checksum=random.random() < 0.5,
        write_content_size=random.random() < 0.9,
        format=random.choice((zstandard.FORMAT_ZSTD1,) * 9 + (zstandard.FORMAT_ZSTD1_MAGICLESS,)),
    )
    words = random.choice((pair.old, pair.old, pair.old, pair.new, pair.old[1:]))
    dictionary = zstandard.ZstdCompressionDict(words, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    data = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(content)
    if random.random() < 0.2:
        data = mutate_bytes(random, data, [pair.patches["zstd"]])
    if random.random() < 0.1:
        data = random.choice(
            (data + data, b"\x50\x2a\x4d\x18\x04\0\0\0skip" + data, data + b"\x50\x2a\x4d\x18\0\0\0\0")
        )
    return data, len(content)


def _written_frame(random: Random, old: bytes) -> tuple[bytes, int]:
    """A frame by hand (RFC 8878): any flags, window and size, and blocks of any type that say more than they hold."""
    blocks, size_bytes = [], 0
    for _ in range(random.choice((0, 1, 2, 3, 40))):
        kind, length = random.randrange(4), random.choice((0, 1, 100, 2**17, 2**17 + 1, 2**21 - 1))
        length = min(length, LARGEST_BYTES // 64)
        body = {0: old[:length].ljust(length, b"\0"), 1: b"\7", 2: random.randbytes(min(length, 300)), 3: b""}[kind]
        if kind == 3 and random.random() < 0.8:
            continue
        blocks.append((kind, length if kind < 2 else len(body), body))
        size_bytes += length if kind < 2 else 0
    written = b"".join(
        (length << 3 | kind << 1 | (number == len(blocks) - 1)).to_bytes(3, "little") + body
        for number, (kind, length, body) in enumerate(blocks)
    )
    is_single = random.random() < 0.5
    told = size_bytes if random.random() < 0.7 else random.choice(NUMBERS)
    flags = 0b11000000 | is_single << 5 | random.choice((0, 0, 0, 1, 2, 3, 4, 8, 16))
    window = b"" if is_single else bytes([random.choice((0, 56, 80, 128, 144, 145, 168, 255))])
    name = random.choice((b"\0", b"\0", b"\1", b"\xff")) * (0, 1, 2, 4)[flags & 3]  # of a dictionary
    head = struct.pack("<IB", zstandard.MAGIC_NUMBER, flags) + window + name + told.to_bytes(8, "little")
    return head + written + random.choice((b"", b"", bytes(4))), min(told, LARGEST_BYTES)


def _residual(random: Random, pair: Pair) -> tuple[bytes, int]:
    data, size_bytes = pair.patches["residual"], len(pair.new)
    parts = read_parts(memoryview(data), size_bytes=size_bytes)
    how = random.random()
    if how < 0.1:
        name = random.choice(("size_bytes", "rest_bytes", "rest_unpacked"))
        found = getattr(parts, name)
        return write_parts(
            replace(parts, **{name: random.choice((found + 1, max(found - 1, 0), *NUMBERS))})
        ), size_bytes
    if how < 0.3:
        name = random.choice(("integers", "symbols", "bits", "rest"))
        changed = mutate_bytes(random, bytes(getattr(parts, name)))
        return write_parts(replace(parts, **{name: memoryview(changed)})), size_bytes
    if how < 0.4:
        return write_parts(replace(parts, plan=mutate_bytes(random, parts.plan))), size_bytes
    plan = read_plan(parts.plan, old_bytes=len(pair.old), new_bytes=size_bytes)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        plan = _change_plan(random, plan, (len(pair.old), size_bytes))
    if random.random() < 0.1:
        size_bytes = random.choice((size_bytes + 1, 2 * size_bytes, 2**20))
    try:
        return assembled(random, plan, pair.old, size_bytes), size_bytes
    except (MalformedError, OverflowError, ValueError):
        return write_parts(replace(parts, plan=write_plan(plan))), size_bytes


def _change_plan(random: Random, plan: Plan, sizes: Sequence[int]) -> Plan:
    """One number of a span or a map, or a span more or less."""
    name = random.choice([each.name for each in fields(Plan) if getattr(plan, each.name)] or ["maps"])
    rows: list[Any] = list(getattr(plan, name))
    if not rows or random.random() < 0.1:
        return replace(plan, maps=(*plan.maps, tuple(random.choice(NUMBERS) for _ in range(random.choice((0, 1, 8))))))
    at, how = random.randrange(len(rows)), random.randrange(12)
    if how == 0:
        del rows[at]
    elif how == 1:
        rows.insert(at, rows[at])
    elif how == 2:
        random.shuffle(rows)
    elif name == "maps":
        changed = list(rows[at]) or [0]
        changed[random.randrange(len(changed))] = random.choice((*NUMBERS, -1, len(changed), changed[0]))
        rows[at] = tuple(changed)
    else:
        field = random.choice(fields(rows[at])).name
        value = getattr(rows[at], field)
        near = (value + 1, value - 1, 2 * value, value // 2, value + 4, value - 4, -value)
        others = [getattr(row, field) for row in rows]
        rows[at] = replace(
            rows[at], **{field: random.choice((*near, *near, *sizes, sizes[1] - 4, -1, *others[:3], *NUMBERS))}
        )
    return replace(plan, **{name: tuple(rows)})


def assembled(random: Random, plan: Plan, old: bytes, size_bytes: int) -> bytes:
    """A residual of a plan, in which everything fits and nothing makes sense.

    Raises:
        MalformedError: Readers refuse the plan.
    """
    written = write_plan(plan)
    read_plan(written, old_bytes=len(old), new_bytes=size_bytes)
    integers = write_integers([_integers(random, length) for length in plan.lengths()])
    skeleton = _skeleton(random, plan, old, size_bytes)
    packed = pack(skeleton)
    symbols, carried = b"", 0
    if plan.weights:
        total = sum(span.count for span in plan.weights)
        carried = min(2 * lane_count(total), len(packed))
        queue = np.random.default_rng(random.getrandbits(32)).integers(0, _SYMBOLS_WITHOUT_BITS, total)
        rest = memoryview(packed)
        whole = Parts(size_bytes, written, memoryview(integers), rest[:0], rest[:0], rest, len(packed), len(skeleton))
        symbols = _coded(old, write_parts(whole), size_bytes, queue, packed[:carried])
    return write_parts(
        Parts(
            size_bytes, written, memoryview(integers), memoryview(symbols), memoryview(b""),
            memoryview(packed)[carried:], len(packed), len(skeleton),
        )
    )  # fmt: skip


class _CodedError(Exception):
    """Ends a reader that was turned into a writer; has the stream."""


def _coded(old: bytes, data: bytes, size_bytes: int, queue: Array, cargo: bytes) -> bytes:
    """The stream of these symbols: whatever the reader would look up, it is told one of them, which is noted."""

    class Noting(Encoder):
        def __init__(self, stream: memoryview, lanes: int) -> None:
            super().__init__(queue, lanes)
            self._lanes_here = lanes

        def finish(self, cargo_of: bytes = b"") -> bytes:
            raise _CodedError(super().finish(cargo.ljust(2 * self._lanes_here, b"\0")))

    try:
        with patch.object(residual, "Decoder", Noting):
            residual.apply_residual(old, data, size_bytes=size_bytes)
    except _CodedError as coded:
        stream: bytes = coded.args[0]
        return stream
    raise MalformedError("a plan with weights came to its end without them")


def _integers(random: Random, length: int) -> Array:
    """Small ones, or any bits of floats."""
    source = np.random.default_rng(random.getrandbits(32))
    reach = random.choice((1, 3, 100, 2**15, 2**23, 2**31))
    found: Array = source.integers(-reach, reach, length, dtype=np.int64)
    if length and random.random() < 0.2:
        found[random.randrange(length)] = random.choice((2**32 - 1, -(2**32), 0x7F800000, 0x7FC00000, -(2**31)))
    return found


def _skeleton(random: Random, plan: Plan, old: bytes, size_bytes: int) -> bytes:
    instructions, literals, expected = bytearray(), bytearray(), 0
    for begin, end in gaps(plan.holes(), size_bytes):
        place = begin
        while place < end:
            length = min(end - place, random.choice((1, 5, 300, 2**16)))
            if random.random() < 0.4 and length <= len(old):
                source = random.randrange(len(old) - length + 1)
                if random.random() < 0.02:
                    source = random.choice((-1, len(old) - length + 1, len(old), *NUMBERS))
                write_number(instructions, length << 1 | 1)
                write_number(instructions, fold(source - place - expected))
                expected = source - place
            else:
                write_number(instructions, length << 1)
                literals += random.randbytes(length)
            place += length
    if random.random() < 0.15:
        instructions = bytearray(mutate_bytes(random, bytes(instructions)))
    out = bytearray()
    write_number(out, len(instructions) if random.random() < 0.97 else random.choice(NUMBERS))
    return bytes(out + instructions + literals)


_INSIDE: Mapping[str, Callable[[Random, Pair], tuple[bytes, int]]] = {
    "bsdiff": _bsdiff,
    "zstd": _zstd,
    "residual": _residual,
}
