"""Fields of protocol buffers, against what onnx's own reader finds; hostile bytes end in a ValueError."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from edgekit.wire.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, varints, walk


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, kind: int, content: bytes) -> bytes:
    return varint(number << 3 | kind) + (varint(len(content)) if kind == BYTES else b"") + content


CONTENTS = {
    VARINT: st.integers(0, 2**64 - 1).map(varint),
    FIXED64: st.binary(min_size=8, max_size=8),
    FIXED32: st.binary(min_size=4, max_size=4),
    BYTES: st.binary(max_size=300),
}
FIELDS = st.sampled_from(sorted(CONTENTS)).flatmap(
    lambda kind: st.tuples(st.integers(1, 2**29 - 1), st.just(kind), CONTENTS[kind])
)


@given(st.lists(FIELDS, max_size=12), st.binary(max_size=5))
def test_law_what_was_written_is_found(fields: list[tuple[int, int, bytes]], before: bytes) -> None:
    data = before + b"".join(field(*one) for one in fields)
    found = list(walk(data, len(before)))
    assert [(one.number, one.kind, data[one.begin : one.end]) for one in found] == fields
    for one, (_, kind, content) in zip(found, fields, strict=True):
        assert one.value == (next(varints(content, 0, len(content))) if kind == VARINT else 0)


def test_a_tensor_of_onnx() -> None:
    made = numpy_helper.from_array(np.arange(600, dtype=np.int32).reshape(20, 30), "the name")
    data = made.SerializeToString()
    found = {one.number: one for one in walk(data)}
    assert data[found[8].begin : found[8].end] == b"the name"
    assert data[found[9].begin : found[9].end] == made.raw_data
    assert [one.value for one in walk(data) if one.number == 1] == [20, 30]
    packed = field(1, BYTES, varint(20) + varint(30))
    assert TensorProto.FromString(packed).dims == [20, 30]
    (one,) = walk(packed)
    assert list(varints(packed, one.begin, one.end)) == [20, 30]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "middle of a number"),
        (b"\x08\x80", "middle of a number"),
        (b"\x08" + b"\xff" * 10, "more than ten bytes"),
        (b"\x0a\x05abcd", "leads out of its message"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "leads out of its message"),
        (b"\x09" + bytes(7), "leads out of its message"),
        (b"\x0b", "of kind 3"),
        (b"\x80\x80\x80\x80\x10\x00", "cut off"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(walk(data))


def test_a_field_may_not_lead_out_of_its_message_into_the_next() -> None:
    data = field(1, BYTES, b"\x0a\x03ab") + b"c"
    (outer, *_) = walk(data, 0, len(data) - 1)
    with pytest.raises(ValueError, match="leads out"):
        list(walk(data, outer.begin, outer.end))


@given(st.binary(max_size=200))
def test_any_bytes_give_fields_in_order_or_an_error(data: bytes) -> None:
    found: list[Field] = []
    with contextlib.suppress(ValueError):
        found.extend(walk(data))
    assert all(0 <= one.begin <= one.end <= len(data) for one in found)
    assert sorted(found, key=lambda one: one.begin) == found
