"""Transports in memory that do as they are told: what a hostile server does, without a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from edgekit.errors import AbsentError, StalledError, TransferError

CHUNK_BYTES = 2**16
Script = Callable[[bytes, int, int], Iterator[bytes]]


class Scripted:
    """A tree of files in memory, read by way of a script.

    Attributes:
        asked: Spans that were asked for.
        sent_bytes: What the reader took.
    """

    def __init__(self, url: str, files: Mapping[str, bytes], script: Script) -> None:
        self.url = url
        self.asked: list[tuple[int, int]] = []
        self.sent_bytes = 0
        self._files = files
        self._script = script
        self._closed = threading.Event()

    @contextmanager
    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if name not in self._files:
            raise AbsentError(f"there is no file {name}", source=self.url)
        data = self._files[name]
        end = len(data) if stop is None else stop
        self.asked.append((start, end))
        yield self._counted(self._script(data, start, end))

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
        raise TransferError("only for reading", source=self.url)

    def close(self) -> None:
        self._closed.set()

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.sent_bytes += len(chunk)
            yield chunk


def good(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    for begin in range(start, stop, CHUNK_BYTES):
        yield data[begin : min(begin + CHUNK_BYTES, stop)]


def liar(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    for chunk in good(data, start, stop):
        yield bytes(len(chunk))


def late_liar(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    """Wrong in the last byte of the file alone."""
    for begin in range(start, stop, CHUNK_BYTES):
        chunk = data[begin : min(begin + CHUNK_BYTES, stop)]
        yield chunk[:-1] + bytes([chunk[-1] ^ 1]) if begin + len(chunk) == len(data) else chunk


def short(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    yield from good(data, start, start + (stop - start) // 2)


def empty(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    yield from ()


def endless(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    yield from good(data, start, stop)
    while True:
        yield b"more"


def broken(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    yield data[start : start + 1000]
    raise TransferError("the cable broke")


def stalling(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    yield data[start : start + 1]
    raise StalledError("too slow")


def careless(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    """Breaks as only somebody else's code does."""
    yield data[start : start + 10]
    raise ValueError("oh")


def tiny(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    """Good, in pieces of odd sizes, empty ones among them."""
    step = 30_011
    for begin in range(start, stop, step):
        yield b""
        yield data[begin : min(begin + step, stop)]


BAD: tuple[Script, ...] = (liar, late_liar, short, empty, endless, broken, stalling, careless)
GOOD: tuple[Script, ...] = (good, tiny)
