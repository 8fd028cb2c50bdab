"""Law: a rescaled graph computes what it did, whatever the factors; and equalized channels are alike."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.equalize import balance, channel_peaks, equalize, unevenness
from edgekit.shrink.quantization.equalize_groups import channel_groups
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.graph import Node
from tests.shrink.quantization.graphs import CONV, make, weights

INF = float("inf")
RELU = (0.0, INF)
WIDTH = 6
MAP = (1, WIDTH, 8, 8)
POINT = {**CONV, "pads": (0, 0, 0, 0)}
POOL = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 0, 0)}
STEPS = (
    "conv",
    "grouped",
    "depthwise",
    "relu",
    "relu6",
    "leaky",
    "max_pool",
    "average_pool",
    "pad",
    "residual",
    "gate",
    "swish",
    "constant",
    "transpose",
)


class Builder:
    """A chain of steps, each from the last map to the next; "residual" adds an earlier map of the same shape."""

    def __init__(self, seed):
        self.seed, self.nodes, self.constants = seed, [], {}
        self.shapes = {"x": (1, 3, 8, 8)}
        self.last = "x"

    def weight(self, *shape):
        name = f"w{len(self.constants)}"
        self.constants[name] = weights(self.seed + len(self.constants), *shape)
        return name

    def bias(self, size):
        name = self.weight(size, 1)
        self.constants[name] = self.constants[name][:, 0]
        return name

    def add(self, op, inputs, shape, attributes=None, clamp=None):
        name = f"v{len(self.nodes)}"
        self.nodes.append(Node(name, op, tuple(inputs), (name,), attributes or {}, name, clamp))
        self.shapes[name] = shape
        self.last = name
        return name

    def conv(self, *, group=1, clamp=None, width=WIDTH):
        per_group = self.shapes[self.last][1] // group
        inputs = (self.last, self.weight(width, per_group, 3, 3), self.bias(width))
        shape = (1, width, *self.shapes[self.last][2:])
        return self.add("Conv", inputs, shape, {**CONV, "group": group}, clamp)

    def step(self, kind):
        last, shape = self.last, self.shapes[self.last]
        height, width = shape[2:]
        match kind:
            case "conv" | "relu" | "relu6":
                self.conv(clamp={"relu": RELU, "relu6": (0.0, 6.0)}.get(kind))
            case "grouped":
                self.conv(group=2)
            case "depthwise":
                self.conv(group=WIDTH, clamp=RELU)
            case "leaky":
                self.add("LeakyRelu", (last,), shape, {"alpha": 0.2})
            case "max_pool" | "average_pool" if height > 2:
                attributes = POOL if kind == "max_pool" else {**POOL, "count_include_pad": 1}
                op = "MaxPool" if kind == "max_pool" else "AveragePool"
                self.add(op, (last,), (1, WIDTH, height - 1, width - 1), attributes)
            case "pad":
                attributes = {"pads": (0, 0, 1, 0, 0, 0, 0, 1), "mode": "constant", "value": 0.0}
                self.add("Pad", (last,), (1, WIDTH, height + 1, width + 1), attributes)
            case "residual":
                alike = [name for name, found in self.shapes.items() if found == shape]
                self.add("Add", (alike[self.seed % len(alike)], last), shape, clamp=RELU if self.seed % 2 else None)
            case "gate":
                mean = self.add("GlobalAveragePool", (last,), (1, WIDTH, 1, 1))
                mixed = self.add("Conv", (mean, self.weight(WIDTH, WIDTH, 1, 1)), (1, WIDTH, 1, 1), POINT)
                gate = self.add("Sigmoid", (mixed,), (1, WIDTH, 1, 1))
                self.add("Mul", (last, gate), shape)
            case "swish":
                gate = self.add("Sigmoid", (last,), shape)
                self.add("Mul", (last, gate), shape)
            case "constant":
                self.constants[f"k{len(self.nodes)}"] = np.float32(0.7)
                self.add("Mul", (last, f"k{len(self.nodes)}"), shape)
            case "transpose":
                turned = self.add("Transpose", (last,), (1, height, width, WIDTH), {"perm": (0, 2, 3, 1)})
                inputs = (turned, self.weight(WIDTH, WIDTH), self.bias(WIDTH))
                linear = self.add("Gemm", inputs, (1, height, width, WIDTH))
                self.add("Transpose", (linear,), shape, {"perm": (0, 3, 1, 2)})

    def graph(self, steps):
        self.conv()
        for kind in steps:
            self.step(kind)
        mean = self.add("GlobalAveragePool", (self.last,), (1, WIDTH, 1, 1))
        flat = self.add("Reshape", (mean,), (1, WIDTH), {"shape": (1, WIDTH)})
        self.add("Gemm", (flat, self.weight(4, WIDTH), self.bias(4)), (1, 4))
        return make(self.nodes, self.shapes, self.constants, outputs=(self.last,))


def run(graph, values):
    return ReferenceSession(as_float(graph)).run({"x": values})[graph.outputs[0]]


def image(seed):
    return np.random.default_rng(seed).normal(size=(2, 3, 8, 8)).astype(np.float32)


@given(st.integers(0, 2**16), st.lists(st.sampled_from(STEPS), max_size=9))
def test_outputs_of_a_rescaled_graph_are_equal_to_float_rounding(seed, steps):
    graph = Builder(seed).graph(steps)
    rng = np.random.default_rng(seed)
    groups = channel_groups(graph)
    factors = [(group, 2.0 ** rng.uniform(-4, 4, group.channels)) for group in groups]
    before, after = run(graph, image(seed)), run(equalize(graph, factors), image(seed))
    np.testing.assert_allclose(after, before, rtol=2e-4, atol=2e-4 * np.abs(before).max())


@given(st.integers(0, 2**16), st.lists(st.sampled_from(STEPS), max_size=9))
def test_values_outside_the_groups_keep_their_numbers(seed, steps):
    graph = Builder(seed).graph(steps)
    groups = channel_groups(graph)
    inside = {name for group in groups for name in group.axes}
    outside = [name for name in graph.values if name not in inside and name != "x"]
    scaled = equalize(graph, [(group, np.full(group.channels, 3.0)) for group in groups])
    before, after = (ReferenceSession(as_float(g), taps=outside).run({"x": image(seed)}) for g in (graph, scaled))
    for name in outside:
        np.testing.assert_allclose(after[name], before[name], rtol=2e-4, atol=2e-4 * np.abs(before[name]).max())


def names_of(graph):
    return [set(group.axes) for group in channel_groups(graph)]


def test_a_residual_stream_is_one_group():
    graph = Builder(0).graph(["conv", "residual"])
    assert {"v0", "v1", "v2", "v3", "v4"} in names_of(graph)  # both sides of the Add, the sum, its mean, its reshape


@pytest.mark.parametrize("kind", ["relu6", "swish"])
def test_a_function_that_does_not_commute_holds_its_value(kind):
    graph = Builder(1).graph(["conv", kind, "conv"])
    inner = {"relu6": "v2", "swish": "v1"}[kind]
    assert all(inner not in names for names in names_of(graph))


def test_graph_borders_shared_weights_and_float_islands_are_left_alone():
    graph = Builder(2).graph(["conv"])
    assert all(not names & {"x", graph.outputs[0]} for names in names_of(graph))
    assert any("v0" in names for names in names_of(graph))
    assert all("v0" not in group.axes for group in channel_groups(graph, frozen=["v1"]))
    second = dataclasses.replace(graph.nodes[1], inputs=("v0", "w2", "w3"))
    again = Node("again", "Conv", ("v0", "w2", "w3"), ("again",), CONV)
    values = {**graph.values, "again": dataclasses.replace(graph.values["v0"], name="again")}
    shared = dataclasses.replace(graph, nodes=(graph.nodes[0], second, *graph.nodes[2:], again), values=values)
    assert all("v0" not in names for names in names_of(shared))


class Tapped:
    """The reference as a float session with every value tapped."""

    def __init__(self, graph):
        self._session = ReferenceSession(as_float(graph), taps=observed_values(graph))
        self.inputs, self.outputs = self._session.inputs, self._session.outputs

    def run(self, feeds):
        return self._session.run(feeds)


def observed(graph, count=4):
    return observe(Tapped(graph), graph, [{"x": image(seed)} for seed in range(count)])


def test_full_strength_makes_the_channels_of_a_value_alike():
    graph = Builder(3).graph(["relu"])
    graph.constants["w0"][2] *= 40
    group = next(group for group in channel_groups(graph) if "v0" in group.axes)
    histograms = observed(graph)
    assert unevenness(histograms, group) > 10
    even = equalize(graph, [(group, balance(graph, histograms, group, strength=1.0))])
    np.testing.assert_allclose(channel_peaks(observed(even), group), 1.0, rtol=1e-3)


def test_a_dead_channel_is_not_blown_up():
    graph = Builder(4).graph(["relu"])
    graph.constants["w0"][1] = 0
    graph.constants["w1"][1] = 0
    group = next(group for group in channel_groups(graph) if "v0" in group.axes)
    factor = balance(graph, observed(graph), group, strength=1.0)
    assert np.isfinite(factor).all()
    assert factor.max() <= 256
