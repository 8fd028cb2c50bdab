"""Bencode: what BitTorrent writes its files in (BEP 3). Only the one text that a value has is read.

A number with a leading zero, keys out of order or twice, anything behind the end: each is refused, so that what was
read and written again has the same hash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from edgekit.errors import MalformedError

Value: TypeAlias = "int | bytes | Sequence[Value] | Mapping[bytes, Value]"
DEEPEST = 16
MOST_VALUES = 4096
"""A torrent of one file has some twenty; each costs far more memory than the two bytes that it can be written in."""
LARGEST_INTEGER = 2**63 - 1
_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]{0,18})e")
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,11}):")


def encode(value: Value) -> bytes:
    """The text of a value.

    Law: decode(encode(value)) == value.
    """
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def decode(data: bytes, *, where: str, limit_bytes: int) -> Value:
    """The value of a text.

    Args:
        data: The text.
        where: What it is, for messages.
        limit_bytes: Largest text that is looked at.

    Raises:
        MalformedError: Too long, too deep, too many values, or not the one text of its value.

    Law: encode(decode(data)) == data.
    """
    if len(data) > limit_bytes:
        raise MalformedError(f"{where} has {len(data)} bytes; at most {limit_bytes} are read")
    reader = _Reader(data, where)
    value = reader.value(DEEPEST)
    if reader.at != len(data):
        raise reader.wrong("something stands behind its end")
    return value


def _write(value: Value, out: list[bytes]) -> None:
    if isinstance(value, int):
        out.append(b"i%de" % value)
    elif isinstance(value, bytes):
        out += (b"%d:" % len(value), value)
    elif isinstance(value, Mapping):
        out.append(b"d")
        for key in sorted(value):
            _write(key, out)
            _write(value[key], out)
        out.append(b"e")
    else:
        out.append(b"l")
        for item in value:
            _write(item, out)
        out.append(b"e")


class _Reader:
    """One text, and how far it was read."""

    def __init__(self, data: bytes, where: str) -> None:
        self.at = 0
        self._data = data
        self._where = where
        self._left = MOST_VALUES

    def wrong(self, what: str) -> MalformedError:
        return MalformedError(f"{self._where} is no canonical bencode: {what}, at byte {self.at}")

    def value(self, levels: int) -> Value:
        if not levels:
            raise self.wrong(f"nested deeper than {DEEPEST} levels")
        if not self._left:
            raise self.wrong(f"more than {MOST_VALUES} values")
        self._left -= 1
        kind = self._data[self.at : self.at + 1]
        if kind == b"i":
            return self._integer()
        if kind == b"l":
            return self._list(levels)
        if kind == b"d":
            return self._dictionary(levels)
        return self._string()

    def _integer(self) -> int:
        found = _INTEGER.match(self._data, self.at)
        if not found or abs(int(found[1])) > LARGEST_INTEGER:
            raise self.wrong("a number that is none, or beyond 2**63 - 1")
        self.at = found.end()
        return int(found[1])

    def _string(self) -> bytes:
        found = _LENGTH.match(self._data, self.at)
        if not found:
            raise self.wrong("a value that is none")
        start = found.end()
        stop = start + int(found[1])
        if stop > len(self._data):
            raise self.wrong("a string that ends early")
        self.at = stop
        return self._data[start:stop]

    def _list(self, levels: int) -> list[Value]:
        items: list[Value] = []
        self.at += 1
        while not self._end():
            items.append(self.value(levels - 1))
        return items

    def _dictionary(self, levels: int) -> dict[bytes, Value]:
        items: dict[bytes, Value] = {}
        last = None
        self.at += 1
        while not self._end():
            key = self._string()
            if last is not None and key <= last:
                raise self.wrong("keys that are out of order, or one twice")
            items[key] = self.value(levels - 1)
            last = key
        return items

    def _end(self) -> bool:
        if self._data[self.at : self.at + 1] == b"e":
            self.at += 1
            return True
        return False
