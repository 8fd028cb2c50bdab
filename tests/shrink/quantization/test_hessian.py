import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.shrink.quantization.hessian import round_rows, round_weight_by
from edgekit.shrink.quantization.weights import choose_weight, in_packing_order, packs_pairs, round_weight
from edgekit.types.graph import Node
from tests.shrink.quantization.graphs import CONV, make

SEEDS = st.integers(0, 2**31)


def layer(rng, op, *, outputs, inputs, group=1):
    """A graph of one linear node with heavy-tailed weights, and moments of strongly correlated columns."""
    if op == "Gemm":
        shape, attributes, depth = (outputs, inputs), {}, inputs
    elif op == "Conv":
        shape, attributes, depth = (outputs * group, inputs, 3, 3), {**CONV, "group": group}, inputs * 9
    else:
        shape, attributes, depth = (inputs, outputs, 3, 3), {**CONV, "output_padding": (0, 0)}, inputs * 9
    weight = rng.standard_t(2, size=shape).astype(np.float32)
    node = Node("n", op, ("x", "w"), ("y",), attributes)
    maps = (1, 1) if op == "Gemm" else (1, 1, 5, 5)
    graph = make([node], {"x": maps, "y": maps}, {"w": weight}, outputs=("y",))
    return graph, node, weight, moments(rng, group, depth)


def moments(rng, groups, depth):
    columns = rng.normal(size=(groups, depth, depth)) @ np.diag(np.geomspace(1, 0.01, depth)) + 1.0
    return columns @ columns.transpose(0, 2, 1) / depth


@given(SEEDS, st.sampled_from(["Gemm", "Conv"]), st.integers(1, 5), st.integers(2, 9), st.integers(1, 3))
def test_no_pair_of_neighbours_can_saturate_sixteen_bits(seed, op, outputs, inputs, group):
    rng = np.random.default_rng(seed)
    graph, node, weight, second = layer(rng, op, outputs=outputs, inputs=inputs, group=1 if op == "Gemm" else group)
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    integers = round_weight_by(graph, node, weight, params=params, second=second, scheme="pair-safe")
    assert integers.dtype == np.int8
    assert integers.shape == weight.shape
    assert packs_pairs(graph, node)
    rows = in_packing_order(node, integers).astype(int)
    even, odd = rows[:, : rows.shape[1] // 2 * 2 : 2], rows[:, 1::2]
    assert np.abs(even + odd)[even * odd > 0].max(initial=0) <= 128
    assert np.abs(rows).max() <= 127


@given(SEEDS, st.sampled_from(["pair-safe", "full", "7-bit"]), st.sampled_from(["Gemm", "Conv", "ConvTranspose"]))
def test_output_error_of_no_row_is_above_that_of_rounding_to_nearest(seed, scheme, op):
    rng = np.random.default_rng(seed)
    graph, node, weight, second = layer(rng, op, outputs=4, inputs=5)
    params = choose_weight(graph, node, weight, scheme=scheme)
    integers = round_weight_by(graph, node, weight, params=params, second=second, scheme=scheme)
    assert np.abs(integers.astype(int)).max() <= (63 if scheme == "7-bit" else 127)
    axis = 1 if op == "ConvTranspose" else 0
    cost, nearest = (
        quadratic(np.moveaxis(weight - params.dequantize(found), axis, 0).reshape(4, -1), second[0])
        for found in (integers, round_weight(weight, params))
    )
    assert (cost <= nearest * 1.0001 + 1e-9).all()


def quadratic(error, second):
    return np.einsum("ok,kl,ol->o", error.astype(np.float64), second, error)


@given(SEEDS)
def test_correlated_inputs_gain_much_and_independent_ones_nothing(seed):
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-60, 60, (1, 16, 24)).astype(np.float32)
    independent = round_rows(steps, np.eye(24)[None])
    np.testing.assert_array_equal(independent, np.rint(steps))
    second = moments(rng, 1, 24)
    gain = quadratic(steps[0] - np.rint(steps[0]), second[0]).sum()
    gain /= quadratic(steps[0] - round_rows(steps, second)[0], second[0]).sum()
    assert gain > 2


def test_groups_are_rounded_as_if_each_were_alone_and_blocks_do_not_show():
    rng = np.random.default_rng(0)
    steps, second = rng.uniform(-60, 60, (3, 4, 150)).astype(np.float32), moments(rng, 3, 150)
    together = round_rows(steps, second, pairs=True)
    for group in range(3):
        alone = round_rows(steps[group : group + 1], second[group : group + 1], pairs=True)
        np.testing.assert_array_equal(together[group], alone[0])


def test_rounding_in_turn_is_the_textbook_form():
    rng = np.random.default_rng(1)
    spread = np.geomspace(1, 0.5, 150)
    second = moments(rng, 1, 150)[0]
    second *= np.outer(spread, spread) / np.sqrt(np.outer(np.diag(second), np.diag(second)))  # already in order
    steps = rng.uniform(-60, 60, (5, 150)).astype(np.float32)
    found = round_rows(steps[None], second[None], pairs=True)[0]
    expected = one_by_one(steps, second)
    assert (found != np.rint(steps)).mean() > 0.1
    np.testing.assert_array_equal(found, expected)


def test_the_column_that_matters_most_is_rounded_first_and_the_other_makes_up_for_it():
    second = np.array([[[1.0, 1.9], [1.9, 4.0]]])
    steps = np.float32([[[3.0, 0.4]]])  # the second input is twice the first: 0.4 of it is worth 0.8 of the first
    np.testing.assert_array_equal(round_rows(steps, second), [[[4, 0]]])


def one_by_one(steps, second):
    """The textbook form: invert, take the upper Cholesky factor, push every error on at once."""
    damped = second + 0.1 * np.trace(second) / len(second) * np.eye(len(second))
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, found = steps.astype(np.float64), np.zeros(steps.shape)
    for column in range(len(second)):
        low, high = np.full(len(steps), -127), np.full(len(steps), 127)
        if column % 2:
            before = found[:, column - 1]
            low, high = np.where(before < 0, -128 - before, low), np.where(before > 0, 128 - before, high)
        found[:, column] = np.clip(np.rint(left[:, column]), low.clip(-127), high.clip(None, 127))
        error = (left[:, column] - found[:, column]) / factor[column, column]
        left[:, column:] -= error[:, None] * factor[column, column:]
    return found


@pytest.mark.parametrize("second", [np.zeros((2, 3, 3)), np.ones((2, 3, 3))])
def test_inputs_that_are_always_zero_or_always_equal_still_round(second):
    steps = np.float32([[[0.4, 0.4, 0.4]], [[1.0, -2.0, 126.9]]])
    found = round_rows(steps, second)
    assert np.abs(found - steps).max() < 1
    if second.any():  # three equal inputs: the sum counts
        assert found[0].sum() == 1


def test_a_depthwise_weight_has_one_matrix_per_channel():
    rng = np.random.default_rng(3)
    graph, node, weight, second = layer(rng, "Conv", outputs=1, inputs=1, group=40)
    params = choose_weight(graph, node, weight)
    assert not packs_pairs(graph, node)
    integers = round_weight_by(graph, node, weight, params=params, second=second, scheme="pair-safe")
    assert (integers != round_weight(weight, params)).any()
