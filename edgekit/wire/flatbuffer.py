"""Flatbuffers, table by table, without the library or the schema.

The encoding is that of flatbuffers.dev/internals. The bytes are hostile: every offset is checked against their length.
A table is given by its place; the numbers of its fields are those of the schema.
"""

from __future__ import annotations

import struct

Bytes = bytes | memoryview


def root(data: Bytes) -> int:
    """Place of the root table.

    Raises:
        ValueError: An offset leads out of the bytes; so in all functions here.
    """
    return uint32(data, 0)


def uint32(data: Bytes, place: int) -> int:
    """The number at a place."""
    if not 0 <= place <= len(data) - 4:
        raise ValueError(f"an offset leads to byte {place} of {len(data)}")
    value: int = struct.unpack_from("<I", data, place)[0]
    return value


def pointed(data: Bytes, place: int) -> int:
    """Where the offset at a place leads: how an item of a vector of tables is reached."""
    return place + uint32(data, place)


def field(data: Bytes, table: int, number: int) -> int:
    """Place of a table's field; 0 when it is absent."""
    step = uint32(data, table)
    vtable = table - (step - 2**32 if step >= 2**31 else step)
    if 4 + 2 * number >= _uint16(data, vtable):
        return 0
    offset = _uint16(data, vtable + 4 + 2 * number)
    return table + offset if offset else 0


def vector(data: Bytes, table: int, number: int) -> tuple[int, int]:
    """Place of the first item of a table's vector, and how many items it has; (0, 0) when it is absent."""
    place = field(data, table, number)
    if not place:
        return 0, 0
    start = pointed(data, place)
    return start + 4, uint32(data, start)


def content(data: Bytes, table: int, number: int) -> bytes:
    """Bytes of a table's string or vector of bytes; none when it is absent."""
    start, size = vector(data, table, number)
    if start + size > len(data):
        raise ValueError(f"{size} bytes at byte {start} of {len(data)}")
    return bytes(data[start : start + size])


def _uint16(data: Bytes, place: int) -> int:
    if not 0 <= place <= len(data) - 2:
        raise ValueError(f"an offset leads to byte {place} of {len(data)}")
    value: int = struct.unpack_from("<H", data, place)[0]
    return value
