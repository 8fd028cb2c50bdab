"""Symbols as bits: range asymmetric numeral systems (rANS, Duda 2013) in lanes, with frequencies that are learnt.

Many coders stand side by side, one a lane, and take a step together, so that numpy does the work; their 16-bit words go
into one stream in the order in which the decoder's lanes ask for them. All arithmetic is in integers: every machine
decodes the same.

A lane starts from a state that is free to choose among 2**16, and the decoder ends in that state. So it carries two
bytes of something else at no cost: the `cargo`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgekit.errors import MalformedError
from edgekit.types.qparams import Array

PRECISION = 15
"""Frequencies of a context add up to 2**15."""
_LOW = 2**16
"""Smallest state of a lane; a state has 32 bits."""
_MASK = np.uint64(2**PRECISION - 1)
_PRECISION, _WORD = np.uint64(PRECISION), np.uint64(16)
_LEARN = 96
"""Weight of one seen symbol."""
_PIECE = 2**14
"""Values whose bits are unpacked at a time."""
_EAGER_STEPS, _REFRESH_STEPS = 32, 4
"""Tables follow what was seen after each of the first steps, later after every fourth."""


class Coder(Protocol):
    """One direction, so that the models above are written once."""

    def step(self, tables: Array) -> Array:
        """Code the next symbol of each lane that takes part, the first `len(tables)`.

        Args:
            tables: Cumulative frequencies, (lanes, symbols + 1), from 0 to 2**15, each symbol at least 1.

        Returns:
            The symbols, (lanes,).
        """
        ...


class Frequencies:
    """How often each symbol was seen in each context: the cumulative tables follow."""

    def __init__(self, start: Array) -> None:
        """Begin with what is expected.

        Args:
            start: (contexts, symbols), positive integers; one seen symbol weighs 96.
        """
        self._counts = start.astype(np.int64)
        self._steps = 0
        self._tables = self._cumulate()

    def tables(self, contexts: Array) -> Array:
        """Cumulative frequencies of each context, (lanes, symbols + 1)."""
        return self._tables.take(contexts, axis=0)

    def learn(self, contexts: Array, symbols: Array) -> None:
        """Count what was coded in one step."""
        contexts_of, width = self._counts.shape
        seen = np.bincount(contexts * width + symbols, minlength=contexts_of * width)
        self._counts += _LEARN * seen.reshape(contexts_of, width)
        self._steps += 1
        if self._steps < _EAGER_STEPS or self._steps % _REFRESH_STEPS == 0:
            self._tables = self._cumulate()

    def _cumulate(self) -> Array:
        contexts, width = self._counts.shape
        cumulative = np.zeros((contexts, width + 1), np.int64)
        np.cumsum(self._counts, axis=1, out=cumulative[:, 1:])
        scaled = cumulative * (2**PRECISION - width) // cumulative[:, -1:]
        tables: Array = (scaled + np.arange(width + 1)).astype(np.uint16)
        return tables


class Encoder:
    """Notes what is to be written; rANS is written from the end."""

    def __init__(self, symbols: Array, lanes: int) -> None:
        """Write these symbols, in the order of the steps."""
        self._symbols = symbols.astype(np.int64)
        self._lanes = lanes
        self._place = 0
        self._noted: list[tuple[Array, Array]] = []

    def step(self, tables: Array) -> Array:
        """As `Coder.step`."""
        symbols = self._symbols[self._place : self._place + len(tables)]
        self._place += len(symbols)
        rows = np.arange(len(tables))
        low = tables[rows, symbols]
        self._noted.append((low, tables[rows, symbols + 1] - low))
        return symbols

    def finish(self, cargo: bytes) -> bytes:
        """The stream: states of the lanes, 4 bytes each, and the words.

        Args:
            cargo: Two bytes a lane.
        """
        states = np.frombuffer(cargo, "<u2").astype(np.uint64) + np.uint64(_LOW)
        words: list[Array] = []
        for low, width in reversed(self._noted):
            lanes, low, width = states[: len(low)], low.astype(np.uint64), width.astype(np.uint64)
            full = lanes >= width << np.uint64(32 - PRECISION)
            words.append((lanes[full] & np.uint64(0xFFFF)).astype("<u2"))
            lanes[full] >>= _WORD
            quotient = lanes // width
            lanes[:] = (quotient << _PRECISION) + (lanes - quotient * width) + low
        return states.astype("<u4").tobytes() + b"".join(part.tobytes() for part in reversed(words))


class Decoder:
    """Reads what an Encoder wrote."""

    def __init__(self, stream: memoryview, lanes: int) -> None:
        """Begin.

        Raises:
            MalformedError: It is too short, or of an odd length.
        """
        if len(stream) < 4 * lanes or len(stream) % 2:
            raise MalformedError(f"a coded stream of {lanes} lanes has {len(stream)} bytes")
        self._states = np.frombuffer(stream[: 4 * lanes], "<u4").astype(np.uint64)
        self._words = np.frombuffer(stream[4 * lanes :], "<u2").astype(np.uint64)
        self._rows = np.arange(lanes)
        self._place = 0

    def step(self, tables: Array) -> Array:
        """As `Coder.step`.

        Raises:
            MalformedError: The stream ends.
        """
        states = self._states[: len(tables)]
        slots = states & _MASK
        ends = np.ascontiguousarray(tables[:, 1:].T)  # numpy adds up rows ten times faster than columns
        symbols: Array = (ends <= slots.astype(np.uint16)).sum(axis=0, dtype=np.uint8)
        places = self._rows[: len(tables)] * tables.shape[1] + symbols
        low = tables.ravel().take(places).astype(np.uint64)
        width = tables.ravel().take(places + 1).astype(np.uint64) - low
        states = width * (states >> _PRECISION) + slots - low
        hungry = np.flatnonzero(states < _LOW)
        words = self._words[self._place : self._place + len(hungry)]
        if len(words) < len(hungry):
            raise MalformedError("a coded stream ends too early")
        states[hungry] = (states[hungry] << _WORD) | words
        self._place += len(hungry)
        self._states[: len(tables)] = states
        return symbols

    def finish(self) -> bytes:
        """The cargo.

        Raises:
            MalformedError: Words are left, or a lane ends in a state that no encoder starts from.
        """
        cargo = self._states - np.uint64(_LOW)
        if self._place != len(self._words) or (cargo >= _LOW).any():
            raise MalformedError("a coded stream does not end where its symbols do")
        return cargo.astype("<u2").tobytes()


def pack_bits(values: Array, widths: Array) -> bytes:
    """The lowest `widths[i]` bits of each value one after another, lowest first; the last byte is filled with zeros."""
    wide = np.flatnonzero(widths)
    values, widths = values[wide].astype(np.int64), widths[wide].astype(np.int64)
    starts = np.cumsum(widths) - widths
    bits = np.zeros(int(widths.sum()), np.uint8)
    for bit in range(int(widths.max(initial=0))):
        has = np.flatnonzero(widths > bit)
        bits[starts[has] + bit] = values[has] >> bit & 1
    return np.packbits(bits, bitorder="little").tobytes()


def packed_bytes(widths: Array) -> int:
    """Length of what `pack_bits` gives for such widths."""
    return (int(widths.sum(dtype=np.int64)) + 7) // 8


def unpack_bits(data: memoryview, widths: Array) -> Array:
    """What `pack_bits` was given, of the type of `widths`; `data` has `packed_bytes(widths)` bytes."""
    values = np.zeros(len(widths), widths.dtype)
    place = 0
    for first in range(0, len(widths), _PIECE):
        wide = first + np.flatnonzero(widths[first : first + _PIECE])
        few = widths[wide].astype(np.int64)
        end = place + int(few.sum())
        whole = np.frombuffer(data[place // 8 : (end + 7) // 8], np.uint8)
        bits = np.unpackbits(whole, bitorder="little").astype(np.int64)
        starts = np.cumsum(few) - few + place % 8
        found = np.zeros(len(few), np.int64)
        for bit in range(int(few.max(initial=0))):
            has = np.flatnonzero(few > bit)
            found[has] |= bits[starts[has] + bit] << bit
        values[wide] = found
        place = end
    return values
