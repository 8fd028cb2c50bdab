"""What the numbers of a new file are expected to be, from those of the old one: the same for both directions.

Ratios are in units of 1/1024, predictions of weights in units of 1/256.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.delta.residual_plan import BLOCK_VALUES, BiasSpan, Plan, WeightSpan
from edgekit.delta.residual_weights import UNIT, Block
from edgekit.types.qparams import Array

RATIO_UNIT = 1024
LARGEST_RATIO = 2**14 - 1
_SHIFT = 12
"""1024 * 1024 / 256, as bits."""
_LARGEST = 127 * UNIT
_PIECE_VALUES = 2**16
"""So many are worked on at a time: eight bytes each, several times over."""
_INT32 = (-(2**31), 2**31 - 1)

Data = bytes | bytearray | memoryview


def floats_at(data: Data, place: int, count: int) -> Array:
    """Some float32 of a file."""
    return np.frombuffer(data, "<f4", count, place) if count else np.zeros(0, np.float32)


def multiply(data: Data, place: int, count: int, factor: int) -> Array:
    """Some float32 of a file, each times the one at `factor`."""
    product: Array = floats_at(data, place, count) * floats_at(data, factor, 1)
    return product.astype("<f4", copy=False)


def expected_row_ratios(span: WeightSpan, plan: Plan, old: Data, new: Data) -> Array:
    """What each row's ratio would be if only its scale had changed, int64 (rows,).

    `new` holds the new scales already.
    """
    if not span.scales:
        return np.full(span.rows, RATIO_UNIT, np.int64)
    before = floats_at(old, span.old_scales, span.old_scale_count).astype(np.float64)
    if len(before) > 1:
        before = before[plan.chosen(span.row_map, span.first_row, span.rows)]
    after = floats_at(new, span.new_scales, span.scales).astype(np.float64)
    return np.broadcast_to(rounded(quotient(before, after) * RATIO_UNIT, 0, LARGEST_RATIO), (span.rows,))


def predict_weights(span: WeightSpan, plan: Plan, old: Data, ratios: tuple[Array, Array]) -> Array:
    """Predictions of weights, int16 (values,).

    Args:
        span: Which.
        plan: The plan that it is of.
        old: The old file.
        ratios: Of each row and of each column, int64 (rows,) and (columns,), 0 to LARGEST_RATIO.
    """
    rows, columns = ratios[0][:, None], ratios[1].reshape(span.outer, 1, span.inner)
    predicted = np.empty((span.outer, span.rows, span.inner), np.int16)
    for outer, some in _pieces(span):
        piece = old_weights(span, plan, old, outer, some)
        piece = piece * rows[some] * columns[outer] + (1 << _SHIFT - 1) >> _SHIFT
        predicted[outer, some] = np.clip(piece, -_LARGEST, _LARGEST)
    return predicted.ravel()


def _pieces(span: WeightSpan) -> Iterator[tuple[slice, slice]]:
    """Slices of the first axis and of the rows that together are worked on at a time."""
    outer_step = max(1, _PIECE_VALUES // (span.rows * span.inner))
    row_step = max(1, _PIECE_VALUES // span.inner)
    for outer in range(0, span.outer, outer_step):
        for row in range(0, span.rows, row_step):
            yield (
                slice(outer, min(outer + outer_step, span.outer)),
                slice(row, min(row + row_step, span.rows)),
            )


def old_weights(span: WeightSpan, plan: Plan, old: Data, outer: slice, rows: slice) -> Array:
    """The old weights that some are predicted from, int8 (outer, rows, inner) of the slices."""
    values = np.frombuffer(old, np.int8, span.old_columns * span.old_rows, span.old)
    if not (span.row_map or span.column_map):
        whole = values.reshape(span.old_outer, span.old_rows, span.old_inner)
        return whole[outer, span.first_row + rows.start : span.first_row + rows.stop]
    own_rows = plan.chosen(span.row_map, span.first_row + rows.start, rows.stop - rows.start)
    columns = plan.chosen(span.column_map, outer.start * span.inner, (outer.stop - outer.start) * span.inner)
    own_outer, own_inner = np.divmod(columns.reshape(-1, 1, span.inner), span.old_inner)
    return values.take((own_outer * span.old_rows + own_rows[None, :, None]) * span.old_inner + own_inner)


def predict_biases(span: BiasSpan, plan: Plan, old: Data, new: Data, rows: Array | None) -> Array:
    """Predictions of biases, int64 (count,).

    Args:
        span: Which.
        plan: The plan that it is of.
        old: The old file.
        new: The new one; scales are there already.
        rows: Ratios of the rows of the weights, where the span asks for them.
    """
    chosen = plan.chosen(span.map, 0, span.count)
    before = np.frombuffer(old, "<i4", span.old_count, span.old).astype(np.int64)[chosen]
    if not span.new_input:
        return before
    was = floats_at(old, span.old_input, 1).astype(np.float64)
    now = floats_at(new, span.new_input, 1).astype(np.float64)
    if rows is None:
        scales = floats_at(old, span.old_scales, span.old_scale_count).astype(np.float64)
        was = was * (scales[chosen] if len(scales) > 1 else scales)
        now = now * floats_at(new, span.new_scales, span.scales).astype(np.float64)
        ratio = quotient(was, now)
    else:
        ratio = quotient(was, now) * (rows.astype(np.float64) / RATIO_UNIT)
    return rounded(before.astype(np.float64) * ratio, *_INT32)


def quotient(one: Array, other: Array) -> Array:
    """One over the other, 1 where that is no positive number."""
    found = one / other
    return np.where(np.isfinite(found) & (found > 0), found, 1.0)


def rounded(values: Array, low: int, high: int) -> Array:
    """Whole numbers in a range, halves to even."""
    return np.clip(np.rint(values), low, high).astype(np.int64)


def blocks_of(spans: Sequence[WeightSpan]) -> list[list[int]]:
    """Which spans are coded together: indices, as many as hold `BLOCK_VALUES` values."""
    blocks: list[list[int]] = []
    room = 0
    for index, span in enumerate(spans):
        if span.count > room:
            blocks.append([])
            room = BLOCK_VALUES
        blocks[-1].append(index)
        room -= span.count
    return blocks


def block(spans: Sequence[WeightSpan], predicted: Sequence[Array]) -> Block:
    """Spans that are coded together, with their predictions."""
    count = sum(span.count for span in spans)
    rows, columns = np.empty(count, np.int32), np.empty(count, np.int32)
    first = first_row = first_column = 0
    for span in spans:
        shape, own = (span.outer, span.rows, span.inner), slice(first, first + span.count)
        row = np.arange(first_row, first_row + span.rows, dtype=np.int32)
        column = np.arange(first_column, first_column + span.columns, dtype=np.int32)
        rows[own].reshape(shape)[:] = row[None, :, None]
        columns[own].reshape(shape)[:] = column.reshape(span.outer, 1, span.inner)
        first, first_row, first_column = own.stop, first_row + span.rows, first_column + span.columns
    return Block(
        predicted=np.concatenate(predicted),
        rows=rows,
        columns=columns,
        tensors=np.repeat(np.arange(len(spans)), [span.rows for span in spans]),
        row_sizes=np.repeat([float(span.columns) for span in spans], [span.rows for span in spans]),
        column_sizes=np.repeat([float(span.rows) for span in spans], [span.columns for span in spans]),
    )
