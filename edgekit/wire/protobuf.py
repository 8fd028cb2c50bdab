"""Protocol buffers, field by field, without the library and without loading what is not looked at.

The encoding is that of protobuf.dev/programming-guides/encoding. The bytes are hostile: every length is held against
its message, and what two readers could understand differently is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of fields; groups, 3 and 4, are used by no format that edgekit reads."""
_LARGEST_TAG = 2**32 - 1
_SIZES = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: What the message calls it.
        kind: VARINT, FIXED64, BYTES or FIXED32.
        begin: Where its content begins, for BYTES behind the length.
        end: Where it ends.
        value: Of a VARINT, without a sign: -1 is 2**64 - 1; else 0.
    """

    number: int
    kind: int
    begin: int
    end: int
    value: int


def walk(data: bytes | memoryview | mmap, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """The fields of the message in `data[start:stop]`, in order; what lies inside of them is not looked at.

    Raises:
        ValueError: A field leads out of the message, or is of a kind that is not used.
    """
    stop = len(data) if stop is None else stop
    place = start
    while place < stop:
        tag, place = _varint(data, place, stop)
        if tag > _LARGEST_TAG:
            raise ValueError("a field whose number other readers would cut off")
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, end = _varint(data, place, stop)
            yield Field(number, kind, place, end, value)
            place = end
            continue
        if kind == BYTES:
            length, place = _varint(data, place, stop)
        elif kind in _SIZES:
            length = _SIZES[kind]
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + length > stop:
            raise ValueError(f"a field of {length} bytes leads out of its message")
        yield Field(number, kind, place, place + length, 0)
        place += length


def varints(data: bytes | memoryview | mmap, start: int, stop: int) -> Iterator[int]:
    """The numbers of a packed field.

    Raises:
        ValueError: The last one leads out of it.
    """
    place = start
    while place < stop:
        value, place = _varint(data, place, stop)
        yield value


def _varint(data: bytes | memoryview | mmap, place: int, stop: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= stop:
            raise ValueError("it ends in the middle of a number")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than ten bytes")
