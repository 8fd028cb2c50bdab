"""How weights differ from what the old file and a ratio let expect: a model that both directions run through.

An int8 weight is predicted with a fraction of 1/256; its residual is what it differs from the rounded prediction. Its
symbol is looked up in a context of two things: how large residuals are in its row and in its column, as far as they
have been coded, and how far the prediction is from being rounded the other way. Residuals count towards that side
first, so that the tables are the same for fractions above and below.

Only elementwise IEEE arithmetic and sums of integers: every machine finds the same contexts.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from edgekit.delta.entropy import Coder, Frequencies
from edgekit.delta.residual_order import spread_step
from edgekit.types.qparams import Array

UNIT = 256
"""Of a prediction."""
_NEAR = 4
"""Residuals of -4..4 have a symbol each; larger ones share one with those of about their size."""
_SHARED = 8
_SYMBOLS = 2 * _NEAR + 1 + _SHARED
_SIZES, _LOWEST_SIZE = 30, (1023 - 9) << 1
"""Buckets of a residual's expected size, half an octave each, from 2**-9."""
_FRACTIONS = 8
_CAUTION = 16.0
"""So many values of the whole tensor's size stand in for those of a row or column that are not known yet."""
_EXPECTED = 960
"""Weight of what is expected of a context's symbols before any was seen, ten symbols' worth."""
_PIECE_VALUES = 2**16
"""So many are worked on at a time: four bytes each, ten times over."""
_A_LANE, _MOST_LANES = 2048, 4096


@dataclass(frozen=True)
class Block:
    """Weights that are coded together.

    Attributes:
        predicted: int16, (values,): in units of 1/256, from -127 to 127.
        rows: int32, (values,): which row each is in, counted over all tensors of the block.
        columns: The same of columns.
        tensors: (rows,): which tensor each row belongs to.
        row_sizes: Values in each row.
        column_sizes: Values in each column.
    """

    predicted: Array
    rows: Array
    columns: Array
    tensors: Array
    row_sizes: Array
    column_sizes: Array


def to_symbols(predicted: Array, values: Array) -> tuple[Array, Array]:
    """Symbol of each value, uint8, and the content of the bits that it leaves open, uint8."""
    rounded, toward = _rounded(predicted)
    residual = (values - rounded) * toward
    magnitude = np.abs(residual)
    near = np.where(residual > 0, 2 * residual - 1, -2 * residual)
    beyond = np.maximum(magnitude - _NEAR, 1)
    octave = np.frexp(beyond.astype(np.float32))[1] - 1
    is_far = magnitude > _NEAR
    bits = (beyond - (1 << octave)) << 1 | (residual < 0)
    symbols = np.where(is_far, 2 * _NEAR + 1 + octave, near)
    return symbols.astype(np.uint8), np.where(is_far, bits, 0).astype(np.uint8)


def to_values(predicted: Array, symbols: Array, bits: Array) -> Array:
    """What `to_symbols` was given, int8."""
    values = np.empty(len(predicted), np.int8)
    for start in range(0, len(predicted), _PIECE_VALUES):
        piece = slice(start, start + _PIECE_VALUES)
        values[piece] = _piece(predicted[piece], symbols[piece], bits[piece])
    return values


def _piece(predicted: Array, symbols: Array, bits: Array) -> Array:
    rounded, toward = _rounded(predicted)
    symbols, bits = symbols.astype(np.int32), bits.astype(np.int32)
    near = np.where(symbols & 1, symbols + 1, -symbols) >> 1
    far = _NEAR + (1 << np.maximum(symbols - (2 * _NEAR + 1), 0)) + (bits >> 1)
    residual = np.where(symbols > 2 * _NEAR, np.where(bits & 1, -far, far), near) * toward
    values: Array = ((rounded + residual) & 0xFF).astype(np.uint8).view(np.int8)
    return values


def _rounded(predicted: Array) -> tuple[Array, Array]:
    """Rounded predictions, and on which side of them the predictions are, -1 or 1; int32."""
    exact = predicted.astype(np.int32)
    rounded = (exact + UNIT // 2) // UNIT
    return rounded, np.where(exact >= rounded * UNIT, 1, -1)


def open_bits(symbols: Array) -> Array:
    """How many bits each symbol leaves open, uint8."""
    return np.maximum(symbols, 2 * _NEAR) - np.uint8(2 * _NEAR)


def lane_count(values: int) -> int:
    """How many lanes code so many weights."""
    return max(1, min(_MOST_LANES, values // _A_LANE))


class WeightModel:
    """What has been learnt; blocks follow one another."""

    def __init__(self) -> None:
        self._frequencies = Frequencies(_expected())

    def run(self, coder: Coder, block: Block, lanes: int) -> Array:
        """Code a block; gives its symbols, uint8 (values,)."""
        count = len(block.predicted)
        step = spread_step(count)
        places = np.arange(min(lanes, count), dtype=np.int64) * step % count
        symbols = np.zeros(count, np.uint8)
        sizes = _Sizes(block)
        for start in range(0, count, lanes):
            chosen = places[: count - start]
            rows, columns = block.rows.take(chosen), block.columns.take(chosen)
            fractions = _fraction(block.predicted.take(chosen))
            contexts = sizes.buckets(rows, columns, start / count) * _FRACTIONS + fractions
            found = coder.step(self._frequencies.tables(contexts))
            self._frequencies.learn(contexts, found)
            symbols[chosen] = found
            sizes.learn(rows, columns, _MAGNITUDES.take(found))
            places += step * lanes % count
            places -= count * (places >= count)
        return symbols


class _Sizes:
    """How large residuals are in each row, column and tensor: sums of their magnitudes, as far as they are known."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._rows = np.zeros(len(block.row_sizes))
        self._columns = np.zeros(len(block.column_sizes))
        self._tensor_sizes = np.bincount(block.tensors, block.row_sizes)
        self._tensors = np.zeros(len(self._tensor_sizes))

    def buckets(self, rows: Array, columns: Array, known: float) -> Array:
        """What to expect of values in these rows and columns, when that share of all is known."""
        usual = (self._tensors + 0.3) / (self._tensor_sizes * known + 1.0)
        usual = usual.take(self._block.tensors.take(rows))
        cautious = _CAUTION * usual
        of_row = (self._rows.take(rows) + cautious) / (self._block.row_sizes.take(rows) * known + _CAUTION)
        expected: Array = self._columns.take(columns) + cautious
        expected /= self._block.column_sizes.take(columns) * known + _CAUTION
        expected *= of_row / usual
        # exponent and highest bit of the mantissa: a logarithm that is the same everywhere
        octaves: Array = (expected.view(np.int64) >> 51) - _LOWEST_SIZE
        return np.minimum(np.maximum(octaves, 0), _SIZES - 1)

    def learn(self, rows: Array, columns: Array, magnitudes: Array) -> None:
        self._rows += np.bincount(rows, magnitudes, len(self._rows))
        self._columns += np.bincount(columns, magnitudes, len(self._columns))
        self._tensors += np.bincount(self._block.tensors[rows], magnitudes, len(self._tensors))


def _magnitudes() -> Array:
    """About how large a residual of each symbol is."""
    near = [(symbol + 1) // 2 for symbol in range(2 * _NEAR + 1)]
    return np.array(near + [_NEAR + 2**octave for octave in range(_SHARED)], np.float64)


def _fraction(predicted: Array) -> Array:
    """How far predictions are from whole numbers, in sixteenths, 0..7."""
    away: Array = predicted.astype(np.int64) & (UNIT - 1)
    sixteenths: Array = np.minimum(away, UNIT - away) * 2 * _FRACTIONS // UNIT
    return np.minimum(sixteenths, _FRACTIONS - 1)


@functools.cache
def _expected() -> Array:
    """Start of the frequencies, (contexts, symbols): falling by a constant ratio with the distance to the prediction.

    The ratio of each bucket is that of the geometric distribution of its size, in sixteenths.
    """
    index = np.arange(_SIZES)
    size = np.maximum((64 * (2 + (index & 1))) << (index >> 1), 3277)  # 2**-16 each, at least 0.05
    ratio = (16 * size << 16) // (16 * size + 2**16)
    powers = np.empty((16 * (_NEAR + 2 ** (_SHARED - 1)) + 1, _SIZES), np.int64)
    powers[0] = 2**30
    for distance in range(1, len(powers)):
        powers[distance] = powers[distance - 1] * ratio >> 16
    weights = np.zeros((_SIZES, _FRACTIONS, _SYMBOLS), np.int64)
    for fraction in range(_FRACTIONS):
        for symbol in range(2 * _NEAR + 1):
            residual = (symbol + 1) // 2 if symbol % 2 else -(symbol // 2)
            weights[:, fraction, symbol] = powers[abs(16 * residual - fraction)]
        for octave in range(_SHARED):
            weights[:, fraction, 2 * _NEAR + 1 + octave] = powers[16 * (_NEAR + 2**octave)] << octave + 1
    flat = weights.reshape(-1, _SYMBOLS)
    start: Array = flat * _EXPECTED // flat.sum(axis=1, keepdims=True) + 1
    return start


_MAGNITUDES = _magnitudes()
