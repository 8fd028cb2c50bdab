"""What a residual looks like as a file: a head of sizes, then its parts.

    magic "EKR1"
    numbers   size of the new file; bytes of: plan, plan unpacked, integers, symbols, open bits, rest, rest unpacked
    plan      lzma   which spans are numbers              `residual_plan`
    integers         of scales, ratios and biases         `residual_integers`
    symbols          of the weights                       `residual_weights`, `entropy`
    open bits        of weights far from their prediction
    rest      lzma   copies and new bytes                 `residual_skeleton`

A number is of 7 bits a byte, lowest first; lzma is raw LZMA2. The first bytes of the rest are carried by the lanes of
the symbols: the part `rest` is only what did not fit there.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass

from edgekit.delta.residual_numbers import NumberReader, write_number
from edgekit.errors import MalformedError

MAGIC = b"EKR1"
_DICTIONARY_BYTES = 2**22
_WRITING = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": _DICTIONARY_BYTES, "pb": 0}]
_READING = [{"id": lzma.FILTER_LZMA2, "dict_size": _DICTIONARY_BYTES}]
_SPARE_BYTES = 2**16


@dataclass(frozen=True)
class Parts:
    """The parts.

    Attributes:
        size_bytes: Of the new file.
        plan: Unpacked.
        integers: As `write_integers` gave them.
        symbols: Stream of the weights' symbols.
        bits: Their open bits.
        rest: Packed, without what the lanes carry.
        rest_bytes: Of the whole packed rest.
        rest_unpacked: Bytes of it, unpacked.
    """

    size_bytes: int
    plan: bytes
    integers: memoryview
    symbols: memoryview
    bits: memoryview
    rest: memoryview
    rest_bytes: int
    rest_unpacked: int


def write_parts(parts: Parts) -> bytes:
    """The residual's bytes."""
    plan = pack(parts.plan)
    sections = (plan, parts.integers, parts.symbols, parts.bits)
    out = bytearray(MAGIC)
    for number in (parts.size_bytes, len(parts.plan), *map(len, sections), parts.rest_bytes, parts.rest_unpacked):
        write_number(out, number)
    return bytes(out) + b"".join((*sections, parts.rest))


def read_parts(data: memoryview, *, size_bytes: int) -> Parts:
    """Read them.

    Args:
        data: The residual.
        size_bytes: What the new file has to have.

    Raises:
        MalformedError: It is none, or makes a file of another size.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise MalformedError("it does not start like a residual")
    reader = NumberReader(data[len(MAGIC) :])
    size, plan_unpacked, plan, integers, symbols, bits, rest, rest_unpacked = (reader.number() for _ in range(8))
    if size != size_bytes:
        raise MalformedError(f"a residual makes a file of {size} bytes, not of {size_bytes}")
    place = len(MAGIC) + reader.place
    sections = []
    for length in (plan, integers, symbols, bits):
        if length > len(data) - place:
            raise MalformedError("a residual is cut off")
        sections.append(data[place : place + length])
        place += length
    unpacked = unpack(bytes(sections[0]), plan_unpacked, most=size_bytes + _SPARE_BYTES)
    return Parts(size, unpacked, sections[1], sections[2], sections[3], data[place:], rest, rest_unpacked)


def read_rest(parts: Parts, cargo: bytes) -> bytes:
    """The unpacked rest.

    Args:
        parts: As they were read.
        cargo: What the lanes carried.

    Raises:
        MalformedError: It is not as long as it should be.
    """
    carried = cargo[: parts.rest_bytes]
    if any(cargo[len(carried) :]) or len(carried) + len(parts.rest) != parts.rest_bytes:
        raise MalformedError("the rest of a residual has another length")
    return unpack(carried + bytes(parts.rest), parts.rest_unpacked, most=2 * parts.size_bytes + _SPARE_BYTES)


def pack(data: bytes) -> bytes:
    """Raw LZMA2."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_WRITING)


def unpack(data: bytes, size_bytes: int, *, most: int) -> bytes:
    """What `pack` was given.

    Args:
        data: From outside.
        size_bytes: How long it is said to be.
        most: How long it may be at most.

    Raises:
        MalformedError: It is longer or shorter, or is no LZMA2.
    """
    if size_bytes > most:
        raise MalformedError(f"a part of a residual unpacks to {size_bytes} bytes; at most {most} make sense")
    reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_READING)
    try:
        unpacked = reader.decompress(data, max_length=size_bytes + 1)
    except lzma.LZMAError as error:
        raise MalformedError(f"a part of a residual is no LZMA2: {error}") from error
    if len(unpacked) != size_bytes or not reader.eof or reader.unused_data:
        raise MalformedError(f"a part of a residual does not unpack to {size_bytes} bytes")
    return unpacked
