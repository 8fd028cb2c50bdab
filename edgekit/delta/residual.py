"""The residual codec: an int8 model as the change of its numbers, for models that were calibrated or trained again.

General codecs see bytes. Here it is known which bytes are weights, of which output channel, and what they are
multiplied by. So a weight is predicted from the old one: training scales whole channels, equalization whole input
channels, and what is left is small, and of a size that is typical of its row and column. `residual_format` has the
file. What applies it needs numpy, and knows no model's format; everything that decides what is decoded is arithmetic
of integers, or elementwise IEEE arithmetic of float64 and float32, so every machine makes the same file.
"""

from __future__ import annotations

import numpy as np

from edgekit.delta.entropy import Decoder, packed_bytes, unpack_bits
from edgekit.delta.residual_format import Parts, read_parts, read_rest
from edgekit.delta.residual_integers import read_integers
from edgekit.delta.residual_making import make_residual
from edgekit.delta.residual_numbers import NumberReader
from edgekit.delta.residual_plan import Plan
from edgekit.delta.residual_plan_reading import read_plan
from edgekit.delta.residual_prediction import (
    LARGEST_RATIO,
    RATIO_UNIT,
    block,
    blocks_of,
    expected_row_ratios,
    multiply,
    predict_biases,
    predict_weights,
)
from edgekit.delta.residual_skeleton import fill_skeleton
from edgekit.delta.residual_weights import WeightModel, lane_count, open_bits, to_values
from edgekit.errors import MalformedError
from edgekit.types.qparams import Array

__all__ = ["apply_residual", "make_residual", "residual_memory_bytes"]

_MIB = 2**20


@np.errstate(all="ignore")  # floats of a file may be anything; what comes of them is bits
def apply_residual(old: bytes | memoryview, delta: bytes | memoryview, *, size_bytes: int) -> bytes:
    """The new file.

    Args:
        old: The file that the residual was made from; of another one nothing sensible comes out.
        delta: The residual, from anywhere.
        size_bytes: Size of the new file.

    Raises:
        MalformedError: It is no residual, or not one between files of these sizes.
    """
    base, parts = memoryview(old), read_parts(memoryview(delta), size_bytes=size_bytes)
    plan = read_plan(parts.plan, old_bytes=len(base), new_bytes=size_bytes)
    integers = read_integers(parts.integers, plan.lengths())
    out = bytearray(size_bytes)
    for span, difference in zip(plan.floats, integers, strict=False):
        before = np.frombuffer(base, "<u4", span.old_count, span.old).astype(np.int64)
        bits = before[plan.chosen(span.map, 0, span.count)] + difference
        out[span.new : span.new + 4 * span.count] = (bits & 0xFFFFFFFF).astype("<u4").tobytes()
    ratios = _ratios(plan, base, out, integers[len(plan.floats) :])
    cargo = _weights(plan, parts, base, out, ratios)
    reader = NumberReader(rest := memoryview(read_rest(parts, cargo)))
    instructions = reader.number()
    begin, end = reader.place, reader.place + instructions
    fill_skeleton(out, base, holes=plan.holes(), told=(rest[begin:end], rest[end:]))
    for product in plan.products:
        out[product.new : product.new + 4 * product.count] = multiply(
            out, product.floats, product.count, product.factor
        ).tobytes()
    for bias, difference in zip(plan.biases, integers[len(integers) - len(plan.biases) :], strict=True):
        rows = ratios[bias.weights][0] if bias.new_input and not bias.scales else None
        made = predict_biases(bias, plan, base, out, rows) + difference
        out[bias.new : bias.new + 4 * bias.count] = (made & 0xFFFFFFFF).astype("<u4").tobytes()
    return bytes(out)


def residual_memory_bytes(old_bytes: int, new_bytes: int) -> int:
    """What applying allocates at most, Python and numpy themselves apart.

    Args:
        old_bytes: Size of the old file.
        new_bytes: Of the new one.
    """
    return old_bytes + 9 * new_bytes + 48 * _MIB


def _ratios(plan: Plan, old: memoryview, new: bytearray, told: list[Array]) -> list[tuple[Array, Array]]:
    """Ratios of rows and of columns of each span of weights."""
    ratios = []
    for index, span in enumerate(plan.weights):
        rows, columns = expected_row_ratios(span, plan, old, new), np.full(span.columns, RATIO_UNIT, np.int64)
        if span.has_row_ratios:
            rows = rows + told[2 * index]
        if span.has_column_ratios:
            columns = columns + told[2 * index + 1]
        ratios.append((np.clip(rows, 0, LARGEST_RATIO), np.clip(columns, 0, LARGEST_RATIO)))
    return ratios


def _weights(plan: Plan, parts: Parts, old: memoryview, out: bytearray, ratios: list[tuple[Array, Array]]) -> bytes:
    """Decode all weights into the new file; gives what the lanes carried."""
    if not plan.weights:
        if parts.symbols or parts.bits:
            raise MalformedError("a residual has symbols of weights, and no weights")
        return b""
    lanes = lane_count(sum(span.count for span in plan.weights))
    decoder, model, place = Decoder(parts.symbols, lanes), WeightModel(), 0
    for indices in blocks_of(plan.weights):
        spans = [plan.weights[index] for index in indices]
        coded = block(spans, [predict_weights(plan.weights[index], plan, old, ratios[index]) for index in indices])
        symbols = model.run(decoder, coded, lanes)
        widths = open_bits(symbols)
        end = place + packed_bytes(widths)
        if end > len(parts.bits):
            raise MalformedError("the open bits of a residual are cut off")
        values = to_values(coded.predicted, symbols, unpack_bits(parts.bits[place:end], widths))
        place, start = end, 0
        for span in spans:
            out[span.new : span.new + span.count] = values[start : start + span.count].tobytes()
            start += span.count
    if place != len(parts.bits):
        raise MalformedError("a residual has too many open bits")
    return decoder.finish()
