"""Whole numbers as bytes, 7 bits each, lowest first, as protocol buffers write them."""

from __future__ import annotations

from edgekit.errors import MalformedError

_MOST_BYTES = 9


def write_number(out: bytearray, value: int) -> None:
    """Append a number of at least 0 and below 2**63."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def fold(value: int) -> int:
    """Small numbers of both signs as small ones without: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return 2 * value if value >= 0 else -2 * value - 1


def unfold(value: int) -> int:
    """What `fold` was given."""
    return -(value + 1 >> 1) if value & 1 else value >> 1


class NumberReader:
    """Reads numbers one after another."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self.place = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self.place >= len(self._data)

    def number(self) -> int:
        """The next one.

        Raises:
            MalformedError: The bytes end, or it is too large.
        """
        value = 0
        for shift in range(0, 7 * _MOST_BYTES, 7):
            if self.is_done:
                break
            byte = self._data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise MalformedError("a residual ends in the middle of a number, or has one of more than 9 bytes")

    def end(self) -> None:
        """Do nothing when nothing is left.

        Raises:
            MalformedError: Something is.
        """
        if not self.is_done:
            raise MalformedError("a residual has bytes where it should end")
