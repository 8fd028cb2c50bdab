import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime.reference.linear import convolve, convolve_transposed
from edgekit.shrink.quantization import moments
from edgekit.shrink.quantization.moments import Columns, Layer, as_rows, from_rows, gather, linear_layers
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Node
from edgekit.types.plan import Plan
from tests.shrink.quantization.graphs import histograms, make, two_branches, weights

SEEDS = st.integers(0, 2**31)


@st.composite
def convolutions(draw):
    """A Conv or ConvTranspose of 1 or 2 spatial axes with its input and float result."""
    rng, rank = np.random.default_rng(draw(SEEDS)), draw(st.integers(1, 2))
    group, inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    op = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    attributes = {
        "strides": strides,
        "pads": tuple(draw(st.integers(0, size - 1)) for size in (*kernel, *kernel)),
        "dilations": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        "group": group,
    }
    x = rng.normal(size=(1, group * inner, *(draw(st.integers(5, 7)) for _ in range(rank)))).astype(np.float32)
    if op == "Conv":
        weight = rng.normal(size=(group * outer, inner, *kernel)).astype(np.float32)
        compute = convolve
    else:
        attributes["output_padding"] = tuple(draw(st.integers(0, stride - 1)) for stride in strides)
        weight = rng.normal(size=(group * inner, outer, *kernel)).astype(np.float32)
        compute = convolve_transposed
    node = Node("n", op, ("x", "w"), ("y",), attributes)
    y = compute(node, x, weight)
    return make([node], {"x": x.shape, "y": y.shape}, {"w": weight}, outputs=("y",)), x, y


@given(convolutions())
def test_rows_times_columns_are_the_convolution(case):
    graph, x, y = case
    (node,) = graph.nodes
    columns = Columns(graph, node)
    everywhere = columns.read(x, columns.choose(10**6, np.random.default_rng(0)))
    rows = as_rows(graph, node, graph.constants["w"])
    np.testing.assert_allclose(np.matmul(rows, everywhere).reshape(y.shape), y, atol=1e-4)


@given(convolutions())
def test_from_rows_is_the_inverse_of_as_rows(case):
    graph, _, _ = case
    (node,) = graph.nodes
    np.testing.assert_array_equal(
        from_rows(graph, node, as_rows(graph, node, graph.constants["w"])), graph.constants["w"]
    )


@given(convolutions(), SEEDS)
def test_sampled_positions_read_the_same_columns_as_all_of_them(case, seed):
    graph, x, _ = case
    (node,) = graph.nodes
    columns, rng = Columns(graph, node), np.random.default_rng(seed)
    few = columns.choose(3, rng)
    assert few.size == min(3, columns.choose(10**6, rng).size)
    np.testing.assert_array_equal(columns.read(x, few), columns.read(x, columns.choose(10**6, rng))[:, :, few])


def test_moments_at_all_positions_are_the_explicit_products(monkeypatch):
    monkeypatch.setattr(moments, "LEAST_POSITIONS", 10**6)
    graph = two_branches(joined="Add")
    inputs = [{"x": weights(seed, 1, 3, 6, 6)} for seed in range(5)]
    layers = [Layer(node.inputs[1], (node,)) for node in graph.nodes[:2]]
    found = dict((layer.weight, found) for layer, found in gather(graph, layers, lambda sample: {}, inputs, count=5))
    columns = Columns(graph, graph.nodes[0])
    stacked = np.concatenate([columns.read(sample["x"], np.arange(36))[0] for sample in inputs], axis=1, dtype=float)
    np.testing.assert_allclose(found["w1"].second[0], stacked @ stacked.T / 180, atol=1e-6)
    np.testing.assert_allclose(found["w1"].mean[0], stacked.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found["w2"].covariance[0], np.cov(stacked, bias=True), atol=1e-6)


def test_layers_beyond_the_memory_limit_wait_for_another_walk(monkeypatch):
    graph = two_branches(joined="Add")
    walks = []

    class Inputs:
        def __iter__(self):
            walks.append(1)
            return iter([{"x": weights(0, 1, 3, 6, 6)}])

    layers = [Layer(node.inputs[1], (node,)) for node in graph.nodes[:2]]
    at_once = {layer.weight: found for layer, found in gather(graph, layers, lambda sample: {}, Inputs(), count=1)}
    assert len(walks) == 1
    monkeypatch.setattr(moments, "LIMIT_BYTES", 1)
    in_turn = {layer.weight: found for layer, found in gather(graph, layers, lambda sample: {}, Inputs(), count=1)}
    assert len(walks) == 3
    assert at_once.keys() == in_turn.keys()


def test_a_weight_that_two_nodes_read_is_one_layer_with_the_moments_of_both(monkeypatch):
    nodes = [Node("a", "Gemm", ("x", "w"), ("h",)), Node("c", "Gemm", ("h", "w"), ("y",))]
    graph = make(nodes, dict.fromkeys(("x", "h", "y"), (1, 4)), {"w": weights(0, 4, 4)}, outputs=("y",))
    quantized = quantize(graph, histograms(graph, {}))
    (layer,) = linear_layers(quantized)
    assert [node.name for node in layer.nodes] == ["a", "c"]
    x, h = weights(1, 1, 4), weights(2, 1, 4)
    ((_, found),) = gather(quantized.graph, [layer], lambda sample: {"h": h}, [{"x": x}], count=1)
    np.testing.assert_allclose(found.second[0], (x.T @ x + h.T @ h) / 2, atol=1e-6)


@pytest.mark.parametrize("plan", [Plan(float_modules=("net.*",)), Plan(weight_only=True)])
def test_float_layers_are_left_out(plan):
    assert linear_layers(quantize(two_branches(joined="Add"), histograms(two_branches(joined="Add"), {}), plan)) == ()
