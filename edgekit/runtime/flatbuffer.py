"""One metadata entry out of a .tflite file, without the schema: a device has the runtime and nothing else.

The file is hostile: every offset is checked against its length. Field numbers are those of
tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

import struct

_IDENTIFIER = b"TFL3"
_BUFFERS, _METADATA = 4, 6  # of Model
_NAME, _BUFFER = 0, 1  # of Metadata
_DATA = 0  # of Buffer
_MOST_ENTRIES = 1000


def metadata_entry(contents: bytes, name: str) -> bytes:
    """Contents of the metadata entry `name`; empty when the file has none.

    Raises:
        ValueError: The bytes are not a .tflite file, or an offset leads out of it.
    """
    if len(contents) < 16 or contents[4:8] != _IDENTIFIER:
        raise ValueError("it does not start with the identifier TFL3")
    model = _uint32(contents, 0)
    entries, count = _vector(contents, model, _METADATA)
    if count > _MOST_ENTRIES:
        raise ValueError(f"it has {count} metadata entries")
    for number in range(count):
        entry = _pointed(contents, entries + 4 * number)
        if _bytes(contents, entry, _NAME) == name.encode():
            field = _field(contents, entry, _BUFFER)
            buffers, buffer_count = _vector(contents, model, _BUFFERS)
            index = _uint32(contents, field) if field else 0
            if index >= buffer_count:
                raise ValueError(f"metadata '{name}' names buffer {index} of {buffer_count}")
            return _bytes(contents, _pointed(contents, buffers + 4 * index), _DATA)
    return b""


def _uint32(contents: bytes, place: int) -> int:
    if not 0 <= place <= len(contents) - 4:
        raise ValueError(f"an offset leads to byte {place} of {len(contents)}")
    value: int = struct.unpack_from("<I", contents, place)[0]
    return value


def _uint16(contents: bytes, place: int) -> int:
    if not 0 <= place <= len(contents) - 2:
        raise ValueError(f"an offset leads to byte {place} of {len(contents)}")
    value: int = struct.unpack_from("<H", contents, place)[0]
    return value


def _pointed(contents: bytes, place: int) -> int:
    return place + _uint32(contents, place)


def _field(contents: bytes, table: int, number: int) -> int:
    """Place of a table's field; 0 when it is absent."""
    step = _uint32(contents, table)
    vtable = table - (step - 2**32 if step >= 2**31 else step)
    if 4 + 2 * number >= _uint16(contents, vtable):
        return 0
    offset = _uint16(contents, vtable + 4 + 2 * number)
    return table + offset if offset else 0


def _vector(contents: bytes, table: int, number: int) -> tuple[int, int]:
    """(place of the first item, number of items)."""
    field = _field(contents, table, number)
    if not field:
        return 0, 0
    start = _pointed(contents, field)
    return start + 4, _uint32(contents, start)


def _bytes(contents: bytes, table: int, number: int) -> bytes:
    start, size = _vector(contents, table, number)
    if start + size > len(contents):
        raise ValueError(f"{size} bytes at byte {start} of {len(contents)}")
    return contents[start : start + size]
