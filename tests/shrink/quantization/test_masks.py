import numpy as np

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Node
from tests.shrink.quantization.graphs import make

SIDE = 6


def causal_attention(lowest):
    """x -> scores + causal mask -> Softmax."""
    mask = np.triu(np.full((SIDE, SIDE), lowest, np.float32), k=1)
    nodes = [
        Node("mask", "Add", ("x", "m"), ("masked",), {}, "attention"),
        Node("softmax", "Softmax", ("masked",), ("y",), {"axis": 2}, "attention"),
    ]
    return make(nodes, dict.fromkeys(("x", "masked", "y"), (1, SIDE, SIDE)), {"m": mask}, outputs=("y",))


def seen(graph, samples):
    session = ReferenceSession(as_float(graph), taps=["masked"])
    histograms = {name: Histogram() for name in graph.values}
    for sample in samples:
        for name, values in {**sample, **session.run(sample)}.items():
            histograms[name].update(values)
    return histograms


def test_a_mask_does_not_cost_the_scores_their_resolution():
    graph = causal_attention(-1e4)
    rng = np.random.default_rng(0)
    samples = [{"x": rng.uniform(-3, 3, (1, SIDE, SIDE)).astype(np.float32)} for _ in range(8)]
    quantized = quantize(graph, seen(graph, samples))
    exact, int8 = ReferenceSession(as_float(graph)), ReferenceSession(quantized)
    assert float(quantized.qparams["masked"].scale) < 0.2
    for sample in samples:
        found, wanted = int8.run(sample)["y"], exact.run(sample)["y"]
        assert np.abs(found - wanted).max() < 0.06
        assert not found[wanted == 0].any()


def test_a_bias_that_is_no_mask_keeps_its_range():
    graph = causal_attention(-2.0)
    samples = [{"x": np.full((1, SIDE, SIDE), value, np.float32)} for value in (-3.0, 3.0)]
    quantized = quantize(graph, seen(graph, samples))
    assert abs(quantized.qparams["masked"].low + 5.0) < 0.1
