"""The delta index: written and read back, and nothing impossible in it is taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.delta.index import LARGEST_INDEX_BYTES, Delta, choose_delta, read_index, write_index
from edgekit.errors import MalformedError
from edgekit.transport.pieces import pieces_of
from edgekit.types.blob import Pieces, piece_length
from edgekit.types.strict_json import canonical, read_strict

A, B, C = "a" * 64, "b" * 64, "c" * 64
DELTA = Delta(A, B, "bsdiff", C, 1000, 2_000_000)
LARGE = Delta(A, B, "zstd", C, 2_500_000, 2_000_000, Pieces(2**20, (A, B, C)))

digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    size_bytes = draw(st.integers(1, 2**28))
    length = piece_length(size_bytes)
    count = -(-size_bytes // length)
    pieces = Pieces(length, tuple(draw(st.lists(digests, min_size=count, max_size=count))))
    return Delta(
        draw(digests), draw(digests), draw(st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)), draw(digests),
        size_bytes, draw(st.integers(1, 2**32)), draw(st.sampled_from([None, pieces])),
    )  # fmt: skip


@given(st.lists(deltas(), max_size=5, unique_by=lambda delta: (delta.target, delta.base, delta.codec, delta.sha256)))
def test_law_what_is_written_is_read_back(listed: list[Delta]) -> None:
    found = read_index(write_index(listed))
    assert sorted(found, key=repr) == sorted(listed, key=repr)
    assert write_index(reversed(found)) == write_index(listed)
    for each in found:
        pieces_of(each.blob)  # fits its size


def test_what_is_not_known_is_left_out() -> None:
    document = read_strict(write_index([DELTA]), where="", limit_bytes=10_000)
    document["more"] = 1
    document["deltas"][0]["hint"] = {"a": [1]}
    assert read_index(canonical(document)) == (DELTA,)


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def work(document: dict[str, Any]) -> None:
        document["deltas"][0][key] = value

    return work


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    def work(document: dict[str, Any]) -> None:
        del document["deltas"][0][key]

    return work


@pytest.mark.parametrize(
    "alter",
    [
        lambda document: document.update(schema="edgekit.deltas/2"),
        lambda document: document.update(deltas={}),
        lambda document: document.update(deltas=[1]),
        lambda document: document.update(deltas=document["deltas"] * 513),
        *(drop(key) for key in ("from", "to", "codec", "sha256", "size_bytes", "memory_bytes")),
        *(change(key, value) for key in ("from", "to", "sha256") for value in ("", "A" * 64, 7, None, "a" * 65)),
        *(change("codec", value) for value in ("", "Zstd", "../x", "a" * 33, None, ["zstd"])),
        *(change("size_bytes", value) for value in (0, -1, 2**28 + 1, 1.5, "7", True)),
        *(change("memory_bytes", value) for value in (0, -1, 2**32 + 1, 1.5, True)),
        change("pieces", []),
        change("pieces", {}),
        change("pieces", {"length_bytes": 2**20, "sha256": [A, B]}),
        change("pieces", {"length_bytes": 2**19, "sha256": [A]}),
        change("pieces", {"length_bytes": 2**20, "sha256": ["x"]}),
        change("pieces", {"length_bytes": 2**20, "sha256": [7]}),
    ],
)
def test_what_cannot_be_is_refused(alter: Callable[[dict[str, Any]], None]) -> None:
    document = read_strict(write_index([DELTA]), where="", limit_bytes=10_000)
    alter(document)
    with pytest.raises(MalformedError):
        read_index(canonical(document))


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b'{"deltas":[],"schema":"edgekit.deltas/1"} '])
def test_other_texts_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_index(data)


def test_a_long_text_is_not_looked_at() -> None:
    with pytest.raises(MalformedError, match="at most"):
        read_index(b" " * (LARGEST_INDEX_BYTES + 1))


def test_pieces_of_a_large_delta() -> None:
    assert read_index(write_index([LARGE])) == (LARGE,)
    assert [piece.size_bytes for piece in pieces_of(LARGE.blob)] == [2**20, 2**20, 2_500_000 - 2**21]


def test_the_smallest_that_fits_is_chosen() -> None:
    other = dataclasses.replace(DELTA, codec="zstd", sha256=A, size_bytes=900)
    new = dataclasses.replace(DELTA, codec="better", size_bytes=10)
    listed = [DELTA, other, new, dataclasses.replace(DELTA, base=C, size_bytes=1)]
    assert choose_delta(listed, bases={A}, target=B, codecs={"zstd", "bsdiff"}) == other
    assert choose_delta(listed, bases={A}, target=B, codecs={"bsdiff"}) == DELTA
    assert choose_delta(listed, bases={B}, target=B, codecs={"bsdiff"}) is None
    assert choose_delta(listed, bases={A}, target=C, codecs={"bsdiff"}) is None
