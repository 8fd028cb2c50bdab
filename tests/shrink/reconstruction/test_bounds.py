"""Whatever is chosen within the bounds keeps the weight scheme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.shrink.quantization.weights import choose_weight, in_packing_order, round_weight
from edgekit.shrink.reconstruction.bounds import rounding_bounds
from edgekit.types.graph import Graph, Node, Value

CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}


def layer(op, weight):
    """A graph of one layer, and its node."""
    node = Node("n", op, ("x", "w"), ("y",), CONV if op == "Conv" else {})
    shapes = {"x": (1, weight.shape[1], 4, 4) if op == "Conv" else (1, weight.shape[1]), "y": (1, 1)}
    values = {name: Value(name, shape) for name, shape in shapes.items()}
    return Graph("one", ("x",), ("y",), (node,), values, {"w": weight}), node


def heavy(seed, op, depth):
    """Weights of which many neighbours are large together."""
    rng = np.random.default_rng(seed)
    shape = (3, depth, 2, 2) if op == "Conv" else (3, depth)
    return (np.sign(rng.normal(size=shape)) * rng.choice([0.2, 0.97, 1.0], size=shape)).astype(np.float32)


def pair_sums(node, integers):
    packed = in_packing_order(node, integers.astype(np.int64))
    paired = packed.shape[1] // 2 * 2
    first, second = packed[:, 0:paired:2], packed[:, 1:paired:2]
    return np.where(first * second > 0, np.abs(first + second), 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["Conv", "Gemm"]), st.integers(1, 7), st.booleans())
def test_every_choice_is_pair_safe(seed, op, depth, ends):
    weight = heavy(seed, op, depth)
    graph, node = layer(op, weight)
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    now = round_weight(weight, params)
    low, high = rounding_bounds(graph, node, weight, params=params, integers=now, scheme="pair-safe")
    assert (low <= now).all()
    assert (now <= high).all()
    chosen = np.random.default_rng(seed).random(weight.shape) < 0.5
    any_choice = np.where(weight > 0, high, low) if ends else np.where(chosen, low, high)
    assert pair_sums(node, any_choice).max(initial=0) <= 128
    assert np.abs(any_choice).max() <= 127


def test_without_the_scheme_the_law_would_not_hold():
    weight = heavy(1, "Gemm", 6)
    graph, node = layer("Gemm", weight)
    params = choose_weight(graph, node, weight, scheme="pair-safe")
    now = round_weight(weight, params)
    low, high = rounding_bounds(graph, node, weight, params=params, integers=now, scheme="full")
    assert pair_sums(node, np.where(weight > 0, high, low)).max() > 128


@pytest.mark.parametrize(("scheme", "limit"), [("7-bit", 63), ("full", 127), ("pair-safe", 127)])
def test_the_largest_integer_is_that_of_the_scheme(scheme, limit):
    weight = heavy(2, "Conv", 5)
    graph, node = layer("Conv", weight)
    params = choose_weight(graph, node, weight * 0.99, scheme=scheme)
    now = np.clip(round_weight(weight, params), -limit, limit)
    low, high = rounding_bounds(graph, node, weight, params=params, integers=now, scheme=scheme)
    assert low.min() >= -limit
    assert high.max() <= limit


def test_bounds_reach_an_integer_that_is_further_than_the_next():
    weight = np.array([[0.5, 1.0, -0.2]], np.float32)
    graph, node = layer("Gemm", weight)
    params = choose_weight(graph, node, weight, scheme="full")
    now = round_weight(weight, params)
    now[0, 2] += 3
    low, high = rounding_bounds(graph, node, weight, params=params, integers=now, scheme="full")
    assert high[0, 2] == now[0, 2]
    assert low[0, 2] < now[0, 2] - 2
