"""A plan from outside: read, and every number held against the files before anything is done with it.

No span leads out of a file or overlaps another, so together they hold no more than the new file; maps lead to channels
that are there; and what is decoded at a time is bounded.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import accumulate, pairwise

from edgekit.delta.residual_numbers import NumberReader, unfold
from edgekit.delta.residual_plan import (
    BLOCK_VALUES,
    BiasSpan,
    FloatSpan,
    Plan,
    ProductSpan,
    WeightSpan,
    most_integers,
)
from edgekit.errors import MalformedError

_MOST_SPANS, _MOST_CHANNELS = 2**16, 2**31
_KINDS: tuple[type[FloatSpan | ProductSpan | WeightSpan | BiasSpan], ...] = (
    FloatSpan,
    ProductSpan,
    WeightSpan,
    BiasSpan,
)


def read_plan(data: bytes, *, old_bytes: int, new_bytes: int) -> Plan:
    """Read it.

    Args:
        data: As `write_plan` gave it.
        old_bytes: Size of the old file.
        new_bytes: Size of the new file.

    Raises:
        MalformedError: It is something else, or a span does not fit the files.
    """
    reader = NumberReader(data)
    maps = _read_maps(reader, most_integers(new_bytes))
    tables = []
    for kind in _KINDS:
        width, count = len(fields(kind)), _at_most(reader.number(), _MOST_SPANS, "spans")
        columns = [list(accumulate(unfold(reader.number()) for _ in range(count))) for _ in range(width)]
        tables.append([kind(*row) for row in zip(*columns, strict=True)])
    reader.end()
    plan = Plan(maps, *map(tuple, tables))  # type: ignore[arg-type]
    _check(plan, old_bytes, new_bytes)
    return plan


def _read_maps(reader: NumberReader, most: int) -> tuple[tuple[int, ...], ...]:
    maps: list[tuple[int, ...]] = []
    for _ in range(_at_most(reader.number(), _MOST_SPANS, "maps")):
        length = _at_most(reader.number(), most, "channels in its maps")
        most -= length
        maps.append(tuple(accumulate((unfold(reader.number()) + 1 for _ in range(length)), initial=-1))[1:])
    return tuple(maps)


def _check(plan: Plan, old_bytes: int, new_bytes: int) -> None:
    """Every span inside its file, none upon another, and flags that are flags."""

    def inside(place: int, size: int, limit: int) -> None:
        if not (0 <= place <= limit and 0 <= size <= limit - place):
            raise MalformedError(f"a residual's span of {size} bytes at byte {place} of {limit}")

    for floats in plan.floats:
        inside(floats.new, 4 * floats.count, new_bytes)
        inside(floats.old, 4 * floats.old_count, old_bytes)
        _check_map(plan, floats.map, 0, floats.count, floats.old_count)
    for product in plan.products:
        inside(product.new, 4 * product.count, new_bytes)
        inside(product.factor, 4, new_bytes)
        inside(product.floats, 4 * product.count, new_bytes)
    for span in plan.weights:
        _check_weights(plan, span)
        inside(span.new, span.count, new_bytes)
        inside(span.old, span.old_columns * span.old_rows, old_bytes)
        inside(span.new_scales, 4 * span.scales, new_bytes)
        inside(span.old_scales, 4 * span.old_scale_count, old_bytes)
    for bias in plan.biases:
        _check_biases(plan, bias)
        inside(bias.new, 4 * bias.count, new_bytes)
        inside(bias.old, 4 * bias.old_count, old_bytes)
        inside(bias.new_input, 4, new_bytes)
        inside(bias.old_input, 4, old_bytes)
        inside(bias.new_scales, 4 * bias.scales, new_bytes)
        inside(bias.old_scales, 4 * bias.old_scale_count, old_bytes)
    _at_most(sum(plan.lengths()), most_integers(new_bytes), "integers")
    holes = plan.holes()
    if any(end > begin for (_, end), (begin, _) in pairwise(holes)):
        raise MalformedError("two spans of a residual overlap")


def _check_weights(plan: Plan, span: WeightSpan) -> None:
    sizes = (span.outer, span.rows, span.inner, span.old_outer, span.old_rows, span.old_inner)
    if min(sizes) < 1 or max(sizes) > _MOST_CHANNELS or not 0 <= span.first_row <= _MOST_CHANNELS:
        raise MalformedError(f"a residual's weights of ({span.outer}, {span.rows}, {span.inner})")
    _at_most(span.count, BLOCK_VALUES, "weights in one span")
    _check_map(plan, span.row_map, span.first_row, span.rows, span.old_rows)
    _check_map(plan, span.column_map, 0, span.columns, span.old_columns)
    if not span.column_map and span.inner != span.old_inner:
        raise MalformedError("a residual's weights have other columns and no map")
    _check_scales(span.scales, span.rows)
    if span.has_row_ratios not in (0, 1) or span.has_column_ratios not in (0, 1):
        raise MalformedError("a residual's flag is neither 0 nor 1")


def _check_biases(plan: Plan, span: BiasSpan) -> None:
    _check_map(plan, span.map, 0, span.count, span.old_count)
    _check_scales(span.scales, span.count)
    by_rows = span.new_input and not span.scales
    if by_rows and not (0 <= span.weights < len(plan.weights) and plan.weights[span.weights].rows == span.count):
        raise MalformedError("a residual's biases belong to no weights")


def _check_map(plan: Plan, number: int, first: int, count: int, old_count: int) -> None:
    """Without a map, the new ones are as many as the old ones, or a part of them."""
    if not 0 <= number <= len(plan.maps):
        raise MalformedError(f"a residual has no map {number}")
    chosen = plan.maps[number - 1][first : first + count] if number else (first, first + count - 1)
    if count and not (min(chosen, default=-1) >= 0 and max(chosen) < old_count):
        raise MalformedError(f"a residual's map leads to channels of {old_count} that are not there")
    if number and len(chosen) != count:
        raise MalformedError(f"a residual's map has {len(chosen)} channels for {count}")


def _check_scales(scales: int, rows: int) -> None:
    if scales not in (0, 1, rows):
        raise MalformedError(f"a residual has {scales} scales for {rows} rows")


def _at_most(number: int, most: int, what: str) -> int:
    if number > most:
        raise MalformedError(f"a residual of {number} {what}; at most {most} make sense")
    return number
