"""Ratios of rows and columns that make new weights of old ones, by least squares, where they are worth their bits.

Training moves a channel's BatchNorm, which is folded into its weights: a ratio of the row. Equalization multiplies a
channel in one layer and divides it in the next: a ratio of the column there. New scales change the ratio of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgekit.delta.residual_plan import Plan, WeightSpan
from edgekit.delta.residual_prediction import RATIO_UNIT, expected_row_ratios, old_weights, predict_weights
from edgekit.delta.residual_weights import UNIT
from edgekit.types.qparams import Array

_ROUNDS = 3
_LARGEST_RATIO = 8.0
_BITS_BESIDE = 1.5
"""Bits of an integer beside those of its magnitude, about."""
_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Ratios:
    """Ratios in units of 1/1024, and what of them is told.

    Attributes:
        rows: (rows,).
        columns: (columns,).
        row_differences: What rows differ from their expectation; empty when that is not told.
        column_differences: What columns differ from 1; empty when that is not told.
    """

    rows: Array
    columns: Array
    row_differences: Array
    column_differences: Array


def fit_ratios(span: WeightSpan, plan: Plan, old: bytes, new: bytes) -> tuple[WeightSpan, Ratios]:
    """The span with the flags that cost least, and its ratios.

    Args:
        span: Weights, with their scales where these differ.
        plan: Has the maps that it names.
        old: The old file.
        new: The new one.
    """
    before = old_weights(span, plan, old, slice(0, span.outer), slice(0, span.rows)).astype(np.float32)
    values = np.frombuffer(new, np.int8, span.count, span.new)
    after = values.reshape(before.shape).astype(np.float32)
    best: tuple[float, WeightSpan, Ratios] | None = None
    for has_rows, has_columns in ((0, 0), (1, 0), (1, 1)):
        rows, columns = _fit(before, after, has_rows=bool(has_rows), has_columns=bool(has_columns))
        for scales in {0, span.scales}:
            told = replace(span, scales=scales, has_row_ratios=has_rows, has_column_ratios=has_columns)
            expected = expected_row_ratios(told, plan, old, new)
            ratios = Ratios(
                rows=rows if has_rows else expected,
                columns=columns,
                row_differences=rows - expected if has_rows else _NOTHING,
                column_differences=columns - RATIO_UNIT if has_columns else _NOTHING,
            )
            predicted = predict_weights(told, plan, old, (ratios.rows, ratios.columns)).astype(np.int32)
            bits = _entropy_bits(values - (predicted + UNIT // 2) // UNIT)
            bits += _integer_bits(ratios.row_differences) + _integer_bits(ratios.column_differences)
            if best is None or bits < best[0]:
                best = bits, told, ratios
    assert best is not None
    return best[1], best[2]


def _fit(before: Array, after: Array, *, has_rows: bool, has_columns: bool) -> tuple[Array, Array]:
    """Alternating least squares of after = rows * before * columns; ratios in their units, int64."""
    outer, rows_count, inner = before.shape
    rows, columns = np.ones(rows_count, np.float32), np.ones((outer, 1, inner), np.float32)
    for _ in range(_ROUNDS if has_columns else int(has_rows)):
        rows = _least_squares(before * columns, after, (0, 2))
        if has_columns:
            scaled = before * rows[None, :, None]
            columns = _least_squares(scaled, after, (1,)).reshape(outer, 1, inner)
            columns /= np.median(columns)
    return _in_units(rows), _in_units(columns.ravel())


def _least_squares(before: Array, after: Array, axes: tuple[int, ...]) -> Array:
    """The factor of each index that is left; 1 where there is nothing to tell it from."""
    product, square = (before * after).sum(axis=axes), (before * before).sum(axis=axes)
    found = np.where(square > 0, product / np.maximum(square, 1e-6), 1.0)
    ratios: Array = np.clip(found, 1 / RATIO_UNIT, _LARGEST_RATIO).astype(np.float32)
    return ratios


def _in_units(ratios: Array) -> Array:
    whole: Array = np.rint(ratios * RATIO_UNIT).astype(np.int64)
    return whole


def _entropy_bits(residual: Array) -> float:
    """Bits of the residuals if each had the probability of its value among them."""
    counts = np.bincount(residual.ravel() + 512).astype(np.float64)
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def _integer_bits(values: Array) -> float:
    return float((np.log2(1 + 2 * np.abs(values)) + _BITS_BESIDE * (len(values) > 0)).sum())
