"""The parts of a residual: integers, symbols, order, plan and skeleton, each read as it was written."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.delta.residual_integers import read_integers, write_integers
from edgekit.delta.residual_numbers import NumberReader, fold, unfold, write_number
from edgekit.delta.residual_order import spread
from edgekit.delta.residual_plan import BiasSpan, FloatSpan, Plan, ProductSpan, WeightSpan, write_plan
from edgekit.delta.residual_plan_reading import read_plan
from edgekit.delta.residual_skeleton import fill_skeleton, write_skeleton
from edgekit.delta.residual_weights import open_bits, to_symbols, to_values
from edgekit.errors import MalformedError

INTEGERS = st.one_of(st.integers(-4, 4), st.integers(-(2**32), 2**32 - 1))


@given(st.lists(st.lists(INTEGERS, max_size=40), max_size=6))
def test_law_integers(arrays: list[list[int]]) -> None:
    data = write_integers([np.array(array, np.int64) for array in arrays])
    found = read_integers(memoryview(data), [len(array) for array in arrays])
    assert [array.tolist() for array in found] == arrays


def test_integers_of_unlike_sizes_cost_about_their_bits() -> None:
    random_ = np.random.default_rng(0)
    arrays = [np.rint(random_.laplace(0, scale, 2000)).astype(np.int64) for scale in (0.5, 20.0, 5000.0)]
    entropy_bits = sum(2000 * np.log2(2 * np.e * scale) for scale in (20.0, 5000.0)) + 2000 * 1.8
    assert len(write_integers(arrays)) * 8 < 1.06 * entropy_bits


def test_integers_that_are_cut_off_or_too_many() -> None:
    data = write_integers([np.arange(100)])
    for broken in (data[:3], data[:20], data[:-1], data + b"\0"):
        with pytest.raises(MalformedError):
            read_integers(memoryview(broken), [100])
    with pytest.raises(MalformedError):
        read_integers(memoryview(b"x"), [0])


@given(st.integers(0, 2**63 - 1), st.integers(-(2**61), 2**61))
def test_law_numbers(value: int, signed: int) -> None:
    out = bytearray()
    write_number(out, value)
    reader = NumberReader(bytes(out))
    assert reader.number() == value
    reader.end()
    assert unfold(fold(signed)) == signed
    with pytest.raises(MalformedError):
        NumberReader(bytes(out[:-1])).number()


def test_a_number_without_an_end() -> None:
    with pytest.raises(MalformedError):
        NumberReader(b"\xff" * 20).number()


@given(st.integers(1, 3000))
def test_law_the_order_is_a_permutation(count: int) -> None:
    assert sorted(spread(count).tolist()) == list(range(count))


def test_the_order_reaches_every_row_soon() -> None:
    rows = spread(100 * 300)[:600] // 300
    assert np.bincount(rows, minlength=100).min() >= 4


@given(st.lists(st.tuples(st.integers(-127 * 256, 127 * 256), st.integers(-128, 127)), min_size=1, max_size=50))
def test_law_every_value_has_a_symbol(pairs: list[tuple[int, int]]) -> None:
    predicted = np.array([one for one, _ in pairs], np.int16)
    values = np.array([one for _, one in pairs], np.int8)
    symbols, bits = to_symbols(predicted, values)
    assert (bits >> open_bits(symbols) == 0).all()
    assert to_values(predicted, symbols, bits).tolist() == values.tolist()


OLD = bytes(range(256)) * 16
PLAN = Plan(
    maps=((0, 2, 3, 5), (7, 1)),
    floats=(FloatSpan(new=0, old=4, count=8, old_count=8, map=0), FloatSpan(40, 40, 4, 6, 1)),
    products=(ProductSpan(new=100, count=8, factor=60, floats=0),),
    weights=(
        WeightSpan(200, 300, 1, 8, 10, 1, 8, 10, 0, 0, 0, 8, 0, 4, 1, 0),
        WeightSpan(400, 500, 3, 4, 1, 3, 6, 1, 0, 1, 0, 0, 0, 0, 0, 1),
        WeightSpan(600, 700, 1, 4, 2, 1, 6, 8, 0, 1, 2, 1, 60, 60, 1, 1),
    ),
    biases=(
        BiasSpan(1000, 1000, 8, 8, 0, 60, 60, 8, 0, 4, 0),
        BiasSpan(1100, 1100, 4, 6, 1, 60, 60, 0, 0, 0, 1),
        BiasSpan(1200, 1200, 2, 2, 0, 0, 0, 0, 0, 0, 0),
    ),
)
SIZES = {"old_bytes": 4096, "new_bytes": 4096}


def test_law_plan() -> None:
    assert read_plan(write_plan(PLAN), **SIZES) == PLAN
    empty = Plan((), (), (), (), ())
    assert read_plan(write_plan(empty), **SIZES) == empty


def changed_weights(**fields: int) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, weights=(replace(plan.weights[0], **fields), *plan.weights[1:]))


def changed_biases(index: int, **fields: int) -> Callable[[Plan], Plan]:
    def change(plan: Plan) -> Plan:
        biases = list(plan.biases)
        biases[index] = replace(biases[index], **fields)
        return replace(plan, biases=tuple(biases))

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed_weights(new=4090),
        changed_weights(new=-1),
        changed_weights(new=190, outer=0),
        changed_weights(old=4090),
        changed_weights(rows=-8, inner=-10),
        changed_weights(rows=2**40, inner=2**40),
        changed_weights(inner=12),
        changed_weights(old_rows=7),
        changed_weights(first_row=1),
        changed_weights(first_row=-1),
        changed_weights(row_map=3),
        changed_weights(row_map=-1),
        changed_weights(row_map=1),
        changed_weights(column_map=2),
        changed_weights(scales=2),
        changed_weights(scales=-1),
        changed_weights(new_scales=4090),
        changed_weights(old_scales=4090),
        changed_weights(has_row_ratios=2),
        changed_weights(has_column_ratios=-1),
        changed_biases(0, new=210),
        changed_biases(0, count=-8),
        changed_biases(0, count=9),
        changed_biases(0, new_input=4095),
        changed_biases(0, old_input=4095),
        changed_biases(0, scales=3),
        changed_biases(1, weights=3),
        changed_biases(1, weights=-1),
        changed_biases(1, weights=0),
        changed_biases(1, old_count=5),
        lambda plan: replace(plan, floats=(replace(plan.floats[0], count=2**50, old_count=2**50), *plan.floats[1:])),
        lambda plan: replace(plan, floats=(replace(plan.floats[0], new=30), *plan.floats[1:])),
        lambda plan: replace(plan, products=(replace(plan.products[0], factor=4093),)),
        lambda plan: replace(plan, products=(replace(plan.products[0], floats=4080),)),
        lambda plan: replace(plan, maps=((0, 2, 3, 6), (7, 1))),
        lambda plan: replace(plan, maps=((0, 2, 3, -1), (7, 1))),
        lambda plan: replace(plan, maps=((0, 2, 3), (7, 1))),
        lambda plan: replace(plan, maps=(*plan.maps, tuple(range(10_000)))),
    ],
)
def test_a_plan_that_does_not_fit_its_files(change: Callable[[Plan], Plan]) -> None:
    with pytest.raises(MalformedError):
        read_plan(write_plan(change(PLAN)), **SIZES)


@settings(max_examples=300)
@given(st.data())
def test_a_plan_of_any_bytes_fits_its_files_or_is_refused(data: st.DataObject) -> None:
    plan = bytearray(write_plan(PLAN))
    for _ in range(data.draw(st.integers(1, 3))):
        plan[data.draw(st.integers(0, len(plan) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_plan(bytes(plan), **SIZES)
    except MalformedError:
        return
    assert all(0 <= begin <= end <= 4096 for begin, end in found.holes())
    for span in found.weights:
        rows = found.chosen(span.row_map, span.first_row, span.rows)
        columns = found.chosen(span.column_map, 0, span.columns)
        assert 0 <= rows.min() <= rows.max() < span.old_rows
        assert 0 <= columns.min() <= columns.max() < span.old_columns


def skeleton(old: bytes, new: bytes, holes: list[tuple[int, int]], moved: dict[int, int]) -> tuple[bytes, bytes]:
    instructions, literals = write_skeleton(old, new, holes=holes, unlike=[], moved=moved)
    out = bytearray(new)
    for begin in range(len(new)):
        if not any(start <= begin < end for start, end in holes):
            out[begin] ^= 0xFF
    fill_skeleton(out, memoryview(old), holes=holes, told=(memoryview(instructions), memoryview(literals)))
    assert bytes(out) == new
    return instructions, literals


@given(st.data())
def test_law_skeleton(data: st.DataObject) -> None:
    pieces = st.lists(st.sampled_from([b"scale__12", b"Conv.weight", b"\0" * 9, b"x", b"QuantizeLinear", b"\xff\x01"]))
    old, new = b"".join(data.draw(pieces)), b"".join(data.draw(pieces))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(new)), max_size=6)))
    holes = list(zip(cuts[::2], cuts[1::2], strict=False))
    moved = data.draw(st.dictionaries(st.integers(0, 40), st.integers(0, 60), max_size=3))
    skeleton(old, new, holes, moved)


def test_what_hardly_changed_costs_little() -> None:
    old = random.Random(0).randbytes(20_000)
    new = old[:5000] + b"a new name" + old[5000:12_000] + old[12_004:]
    instructions, literals = skeleton(old, new, [(100, 3000)], {})
    assert literals == b"a new name"
    assert len(instructions) < 24
    assert skeleton(old, old, [], {}) == (b"\xc1\xb8\x02\x00", b""), "one copy of everything"


@pytest.mark.parametrize(
    ("instructions", "literals"),
    [
        (b"", b""),
        (b"\x14", b"x" * 9),
        (b"\x14", b"x" * 11),
        (b"\x16", b"x" * 11),
        (b"\x00\x14", b"x" * 10),
        (b"\x14\x00", b"x" * 10),
        (b"\x15", b""),
        (b"\x15\x01", b""),
        (b"\x15\x7e", b""),
        (b"\x15\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b""),
    ],
)
def test_instructions_that_lead_out(instructions: bytes, literals: bytes) -> None:
    with pytest.raises(MalformedError):
        fill_skeleton(
            bytearray(10), memoryview(bytes(60)), holes=[], told=(memoryview(instructions), memoryview(literals))
        )
