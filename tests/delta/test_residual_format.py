"""A residual's parts and their caps: nothing unpacks to more than its head says, and heads may not say too much."""

from __future__ import annotations

import lzma

import pytest

from edgekit.delta.residual import apply_residual
from edgekit.delta.residual_format import MAGIC, Parts, pack, read_parts, read_rest, unpack, write_parts
from edgekit.delta.residual_numbers import write_number
from edgekit.errors import MalformedError


def parts(**changed: object) -> Parts:
    fields: dict[str, object] = {
        "size_bytes": 500,
        "plan": b"the plan",
        "integers": memoryview(b"some integers"),
        "symbols": memoryview(b"symbols"),
        "bits": memoryview(b""),
        "rest": memoryview(b"the rest"),
        "rest_bytes": 12,
        "rest_unpacked": 40,
    }
    return Parts(**{**fields, **changed})  # type: ignore[arg-type]


def head(*numbers: int) -> bytes:
    out = bytearray(MAGIC)
    for number in numbers:
        write_number(out, number)
    return bytes(out)


def test_law_parts_are_read_as_they_were_written() -> None:
    made = parts()
    found = read_parts(memoryview(write_parts(made)), size_bytes=500)
    assert found == made


def test_every_cut_of_the_parts_before_the_rest_is_refused() -> None:
    data = write_parts(parts(rest=memoryview(b"")))
    for end in range(len(data)):
        with pytest.raises(MalformedError):
            read_parts(memoryview(data[:end]), size_bytes=500)


def test_a_plan_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = pack(bytes(2**24))
    assert len(bomb) < 20_000
    told = head(500, 2**24, len(bomb), 0, 0, 0, 0, 0) + bomb
    with pytest.raises(MalformedError, match="make sense"):
        apply_residual(bytes(500), told, size_bytes=500)
    with pytest.raises(MalformedError, match="does not unpack"):
        apply_residual(bytes(500), head(500, 900, len(bomb), 0, 0, 0, 0, 0) + bomb, size_bytes=500)


def test_a_rest_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = pack(bytes(2**24))
    for unpacked, message in ((2**24, "make sense"), (900, "does not unpack")):
        made = parts(rest=memoryview(bomb), rest_bytes=len(bomb), rest_unpacked=unpacked)
        with pytest.raises(MalformedError, match=message):
            read_rest(made, b"")


def test_the_rest_is_what_the_lanes_carry_and_what_follows() -> None:
    packed = pack(b"copies and new bytes")
    made = parts(rest=memoryview(packed)[6:], rest_bytes=len(packed), rest_unpacked=20)
    assert read_rest(made, packed[:6]) == b"copies and new bytes"
    short = parts(rest=memoryview(b""), rest_bytes=len(packed), rest_unpacked=20)
    assert read_rest(short, packed + bytes(9)) == b"copies and new bytes"
    for cargo in (packed[:5], packed[:7], packed + b"\x01"):
        with pytest.raises(MalformedError):
            read_rest(short if len(cargo) > 9 else made, cargo)


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\x00", bytes(50), pack(b"abc") + b"\0", pack(b"abc")[:-1]])
def test_what_is_no_lzma_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        unpack(data, 3, most=100)


def test_a_larger_dictionary_than_ours_reaches_nowhere() -> None:
    """LZMA2 as others write it is read; distances beyond 4 MiB are not."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**26}]
    near = lzma.compress(b"abc" * 1000, lzma.FORMAT_RAW, filters=filters)
    assert unpack(near, 3000, most=3000) == b"abc" * 1000
