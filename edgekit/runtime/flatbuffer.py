"""One metadata entry out of a .tflite file, without the schema: a device has the runtime and nothing else.

Field numbers are those of tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

from edgekit.wire import flatbuffer

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
    model = flatbuffer.root(contents)
    entries, count = flatbuffer.vector(contents, model, _METADATA)
    if count > _MOST_ENTRIES:
        raise ValueError(f"it has {count} metadata entries")
    for number in range(count):
        entry = flatbuffer.pointed(contents, entries + 4 * number)
        if flatbuffer.content(contents, entry, _NAME) == name.encode():
            field = flatbuffer.field(contents, entry, _BUFFER)
            buffers, buffer_count = flatbuffer.vector(contents, model, _BUFFERS)
            index = flatbuffer.uint32(contents, field) if field else 0
            if index >= buffer_count:
                raise ValueError(f"metadata '{name}' names buffer {index} of {buffer_count}")
            return flatbuffer.content(contents, flatbuffer.pointed(contents, buffers + 4 * index), _DATA)
    return b""
