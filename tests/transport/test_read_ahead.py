"""Answers that are asked for ahead come in their order, no more of them than there is room for, and end when left."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import TransferError
from edgekit.transport.read_ahead import read_ahead


@settings(max_examples=50, deadline=None)
@given(jobs=st.lists(st.lists(st.binary(max_size=5), max_size=4), max_size=12), width=st.integers(1, 5))
def test_law_everything_comes_in_its_order(jobs: list[list[bytes]], width: int) -> None:
    def read(job: list[bytes]) -> Generator[bytes, None, None]:
        yield from job

    assert list(read_ahead(iter(jobs), read, width=width)) == [chunk for job in jobs for chunk in job]


def test_several_are_under_way_and_no_more_than_that() -> None:
    together, taken = threading.Barrier(3), []

    def jobs() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            yield number

    def read(job: int) -> Generator[bytes, None, None]:
        together.wait(10)  # passes when three are here
        yield bytes((job,))

    chunks = read_ahead(jobs(), read, width=3)
    assert next(chunks) == b"\0"
    assert taken == [0, 1, 2]
    assert b"".join(chunks) == bytes(range(1, 9))


def test_an_error_comes_when_it_is_its_turn() -> None:
    def read(job: int) -> Generator[bytes, None, None]:
        yield bytes((job,))
        if job == 2:
            raise TransferError("it broke")

    chunks, found = read_ahead(iter(range(9)), read, width=4), bytearray()
    with pytest.raises(TransferError):
        drain(chunks, found)
    assert found == bytes((0, 1, 2))


def drain(chunks: Iterator[bytes], into: bytearray) -> None:
    for chunk in chunks:
        into += chunk


def test_leaving_ends_what_is_under_way() -> None:
    ended, go_on = threading.Semaphore(0), threading.Event()

    def read(job: int) -> Generator[bytes, None, None]:
        try:
            yield b"first"
            go_on.wait(10)
            while True:
                yield b"more"
        finally:
            ended.release()

    chunks = read_ahead(iter(range(9)), read, width=3)
    assert next(chunks) == b"first"
    chunks.close()
    go_on.set()
    for _ in range(3):
        assert ended.acquire(timeout=10)
