"""Tables of flatbuffers, against the library that LiteRT's schema is read with; hostile offsets end in a ValueError."""

from __future__ import annotations

import contextlib

import flatbuffers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.wire import flatbuffer


def built(number: int, text: str, items: list[int]) -> bytes:
    """A table of a uint32, a string, a vector of uint32 and a vector of one table that holds the number again."""
    builder = flatbuffers.Builder(64)
    name = builder.CreateString(text)
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUint32(item)
    vector = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUint32Slot(0, number, 0)
    inner = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(inner)
    tables = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUint32Slot(0, number, 0)
    builder.PrependUOffsetTRelativeSlot(1, name, 0)
    builder.PrependUOffsetTRelativeSlot(2, vector, 0)
    builder.PrependUOffsetTRelativeSlot(4, tables, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TEST")
    return bytes(builder.Output())


@given(st.integers(1, 2**32 - 1), st.text(max_size=20), st.lists(st.integers(0, 2**32 - 1), max_size=9))
def test_law_what_was_built_is_found(number: int, text: str, items: list[int]) -> None:
    data = built(number, text, items)
    table = flatbuffer.root(data)
    assert flatbuffer.uint32(data, flatbuffer.field(data, table, 0)) == number
    assert flatbuffer.content(data, table, 1) == text.encode()
    start, count = flatbuffer.vector(data, table, 2)
    assert [flatbuffer.uint32(data, start + 4 * index) for index in range(count)] == items
    assert flatbuffer.field(data, table, 3) == 0
    assert flatbuffer.vector(data, table, 3) == (0, 0)
    start, count = flatbuffer.vector(data, table, 4)
    assert count == 1
    inner = flatbuffer.pointed(data, start)
    assert flatbuffer.uint32(data, flatbuffer.field(data, inner, 0)) == number
    assert flatbuffer.field(data, table, 9) == 0, "a field that its schema did not have yet"


@given(st.data())
def test_any_bytes_give_something_or_an_error(data: st.DataObject) -> None:
    whole = bytearray(built(7, "a name", [1, 2, 3]))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ValueError):
        table = flatbuffer.root(cut)
        assert len(flatbuffer.content(cut, table, 1)) <= len(cut)
        start, _ = flatbuffer.vector(cut, table, 4)
        flatbuffer.field(cut, flatbuffer.pointed(cut, start), 0)


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff", bytes(3)])
def test_an_offset_that_leads_out(data: bytes) -> None:
    with pytest.raises(ValueError, match="leads to byte"):
        flatbuffer.field(data, flatbuffer.root(data), 0)
