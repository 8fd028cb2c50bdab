"""The simulation stores what the integers can stand for, lets gradients through, and walks both graphs in step."""

from __future__ import annotations

import numpy as np
import torch

from edgekit.shrink.quantization.quantize import quantize
from edgekit.shrink.reconstruction.simulation import SimulatedGraph, as_feeds
from edgekit.shrink.reconstruction.walk import HELD_BYTES, Walk, affordable
from edgekit.types.graph import Graph
from tests.shrink.quantization.graphs import histograms, two_branches


def quantized():
    graph = two_branches()
    return quantize(graph, histograms(graph, {"x": (-2.0, 2.0), "l": (0.0, 3.0), "r": (-3.0, 3.0), "y": (-3.0, 3.0)}))


def samples(count):
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(size=(1, 3, 6, 6)).astype(np.float32)} for _ in range(count)]


def test_every_value_is_a_multiple_of_its_scale_within_its_range():
    subject = quantized()
    names = [name for name in subject.qparams if name in subject.graph.values]
    with torch.no_grad():
        found = SimulatedGraph(subject, names)(as_feeds(subject.graph, samples(3)))
    for name in names:
        params = subject.qparams[name]
        steps = found[name].numpy() / params.scale
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert found[name].min() >= params.low - 1e-5
        assert found[name].max() <= params.high + 1e-5


def test_gradients_reach_a_trained_weight():
    subject = quantized()
    executor = SimulatedGraph(subject)
    weight = torch.from_numpy(subject.qparams["w1"].dequantize(subject.integers["w1"])).requires_grad_()
    executor.trained["w1"] = weight
    executor(as_feeds(subject.graph, samples(2)))["y"].square().sum().backward()
    assert weight.grad is not None
    assert (weight.grad != 0).any()


def test_the_walk_computes_what_both_graphs_compute_however_samples_are_chunked():
    subject = quantized()
    alone = Graph(**{**vars_of(subject.graph), "batch_axes": {}})
    for graph in (subject.graph, alone):
        walk = Walk(type(subject)(graph, subject.qparams, subject.integers, subject.islands), samples(9))
        for index in range(len(walk.nodes)):
            if walk.nodes[index].name == "join":
                found = walk.pairs("r")
            walk.step(index)
        assert walk.count == len(found) == 9
        feeds = as_feeds(subject.graph, samples(9)[4:5])
        np.testing.assert_allclose(found[4][1], SimulatedGraph(subject, ["r"])(feeds)["r"].detach().numpy(), atol=1e-6)
        assert (found[4][0] != found[4][1]).any()  # the float graph is the other one


def vars_of(graph):
    """The fields of a graph, without what it caches."""
    return {name: getattr(graph, name) for name in type(graph).__dataclass_fields__}


def test_fewer_samples_fit_where_maps_are_larger():
    graph = two_branches()
    widest = 4 * 36 * (4 + 4 + 8)
    assert affordable(graph) == HELD_BYTES // (2 * widest)
