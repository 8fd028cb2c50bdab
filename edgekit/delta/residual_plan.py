"""The plan of a residual: which spans of the new file are numbers, and from what each is predicted. Plain offsets.

It is written as tables of whole numbers, column after column, each the difference to the row before, so that lzma finds
how regular they are. `residual_plan_reading` reads it.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from edgekit.delta.residual_numbers import fold, write_number
from edgekit.types.qparams import Array

BLOCK_VALUES = 2**21
"""So many weights are coded together, at most: bounds memory."""


@dataclass(frozen=True)
class FloatSpan:
    """float32 that are told by the difference of their bits to those of old ones.

    Attributes:
        new: Place in the new file; in all spans.
        old: Place in the old file; in all spans.
        count: How many.
        old_count: How many there were.
        map: Which old ones: number of a map, from 1; 0 where it is each its own.
    """

    new: int
    old: int
    count: int
    old_count: int
    map: int


@dataclass(frozen=True)
class ProductSpan:
    """float32 that are products: each of `floats` times the one at `factor`, both in the new file."""

    new: int
    count: int
    factor: int
    floats: int


@dataclass(frozen=True)
class WeightSpan:
    """int8 of (outer, rows, inner), predicted as old ones times a ratio of each row and one of each column.

    A column is an index of the first axis with one of the third.

    Attributes:
        new: Place.
        old: Place.
        outer: Slowest axis.
        rows: Second axis.
        inner: Third axis.
        old_outer: The same of the old weights.
        old_rows: The same.
        old_inner: The same.
        first_row: Where in the map of rows these begin: a large tensor is several spans.
        row_map: Which old rows they are: number of a map, from 1; 0 where it is each its own.
        column_map: Which old columns.
        scales: How many scales there are: 0 (ratios of rows are predicted as 1), 1, or one a row (as the ratio of
            scales).
        new_scales: Place of the scales.
        old_scales: Place of the old ones.
        has_row_ratios: Whether what the ratios of rows differ from their prediction is told.
        has_column_ratios: Whether the ratios of columns are told.
    """

    new: int
    old: int
    outer: int
    rows: int
    inner: int
    old_outer: int
    old_rows: int
    old_inner: int
    first_row: int
    row_map: int
    column_map: int
    scales: int
    new_scales: int
    old_scales: int
    has_row_ratios: int
    has_column_ratios: int

    @property
    def count(self) -> int:
        """How many values."""
        return self.outer * self.rows * self.inner

    @property
    def columns(self) -> int:
        """How many columns."""
        return self.outer * self.inner

    @property
    def old_columns(self) -> int:
        """How many columns the old weights have."""
        return self.old_outer * self.old_inner

    @property
    def old_scale_count(self) -> int:
        """How many scales the old weights have."""
        return self.scales if self.scales < 2 else self.old_rows


@dataclass(frozen=True)
class BiasSpan:
    """int32, predicted as old ones times a ratio.

    Attributes:
        new: Place.
        old: Place.
        count: How many.
        old_count: How many there were.
        map: Which old ones: number of a map, from 1; 0 where it is each its own.
        new_input: Place of the scale of the layer's input; 0 where biases are predicted as the old ones.
        old_input: The same in the old file.
        scales: How many scales the weights have: 1, or `count`; 0: the ratio is that of the inputs' scales times the
            ratios of the rows of weights.
        new_scales: Place of them.
        old_scales: The same in the old file.
        weights: Index of the WeightSpan whose ratios of rows are meant.
    """

    new: int
    old: int
    count: int
    old_count: int
    map: int
    new_input: int
    old_input: int
    scales: int
    new_scales: int
    old_scales: int
    weights: int

    @property
    def old_scale_count(self) -> int:
        """How many scales the old weights have."""
        return self.scales if self.scales < 2 else self.old_count


@dataclass(frozen=True)
class Plan:
    """All spans; those of one kind in the order of their numbers in the coded stream.

    Attributes:
        maps: For each, which of the old channels the new ones are.
        floats: Scales of weights.
        products: Scales of biases.
        weights: Weights.
        biases: Biases.
    """

    maps: tuple[tuple[int, ...], ...]
    floats: tuple[FloatSpan, ...]
    products: tuple[ProductSpan, ...]
    weights: tuple[WeightSpan, ...]
    biases: tuple[BiasSpan, ...]

    def chosen(self, number: int, first: int, count: int) -> Array:
        """Which old ones `count` new ones are, the first of which is `first` in the map of that number, int64."""
        if not number:
            return np.arange(first, first + count)
        return np.array(self.maps[number - 1][first : first + count], np.int64)

    def lengths(self) -> list[int]:
        """How many integers each span has in the coded stream, in its order."""
        lengths = [span.count for span in self.floats]
        for span in self.weights:
            lengths += [span.rows * span.has_row_ratios, span.columns * span.has_column_ratios]
        return lengths + [span.count for span in self.biases]

    def holes(self) -> list[tuple[int, int]]:
        """Begin and end of each span in the new file, in order; they do not overlap."""
        words: list[FloatSpan | ProductSpan | BiasSpan] = [*self.floats, *self.products, *self.biases]
        places = [(span.new, span.new + 4 * span.count) for span in words]
        return sorted(places + [(span.new, span.new + span.count) for span in self.weights])


def write_plan(plan: Plan) -> bytes:
    """The plan's bytes."""
    out = bytearray()
    write_number(out, len(plan.maps))
    for chosen in plan.maps:
        write_number(out, len(chosen))
        for before, index in zip((-1, *chosen), chosen, strict=False):
            write_number(out, fold(index - before - 1))
    for spans in (plan.floats, plan.products, plan.weights, plan.biases):
        write_number(out, len(spans))
        for column in zip(*map(astuple, spans), strict=True):
            for before, value in zip((0, *column), column, strict=False):
                write_number(out, fold(value - before))
    return bytes(out)


def most_integers(new_bytes: int) -> int:
    """How many integers a residual may tell; an int8 model needs one for some dozens of bytes."""
    return new_bytes // 16 + 4096
