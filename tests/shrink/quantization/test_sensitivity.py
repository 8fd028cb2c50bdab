import dataclasses
import math

import numpy as np
import pytest

from edgekit.runtime.reference import ReferenceSession
from edgekit.runtime.reference.interpreter import as_float
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize, quantize_weights
from edgekit.shrink.quantization.sensitivity import scan_output_noise
from edgekit.types.graph import QuantizedGraph
from tests.shrink.quantization.outliers import noise_samples, outlier_net

SAMPLES = noise_samples(0, 12)


def quantized_of(graph):
    session = ReferenceSession(as_float(graph), taps=observed_values(graph))
    return quantize(graph, observe(session, graph, SAMPLES))


def measured(quantized, samples=SAMPLES):
    """Noise over signal at the outputs, by the integer reference."""
    exact, int8 = ReferenceSession(as_float(quantized.graph)), ReferenceSession(quantized)
    noise = signal = 0.0
    for sample in samples:
        true, found = exact.run(sample), int8.run(sample)
        signal += sum(float((array.astype(np.float64) ** 2).sum()) for array in true.values())
        noise += sum(float(((found[name].astype(np.float64) - true[name]) ** 2).sum()) for name in true)
    return noise / signal


@pytest.fixture(scope="module")
def calm():
    return quantized_of(outlier_net(factor=1.0))


@pytest.fixture(scope="module")
def spread():
    return quantized_of(outlier_net())


def test_the_parts_add_up_to_the_noise_that_is_measured(calm):
    noise = scan_output_noise(calm, SAMPLES, probes=16)
    assert 10 * math.log10(noise.total / measured(calm)) == pytest.approx(0.0, abs=1.0)
    assert noise.samples == 12
    assert set(noise.weights) == {"stem", "expand", "project", "conv0", "conv1", "head"}


def test_one_rounding_alone_costs_what_the_scan_says(calm):
    """Only h1 is rounded, everything else is in float: the reference must lose what the scan charges to h1."""
    alone = dataclasses.replace(
        calm,
        qparams={"h1": calm.qparams["h1"]},
        integers={},
        islands={node.name: "test" for node in calm.graph.nodes},
    )
    noise = scan_output_noise(alone, SAMPLES, probes=32)
    assert set(noise.values) == {"h1"}
    assert noise.weights == {}
    assert noise.total == pytest.approx(measured(alone), rel=0.35)


def test_the_value_with_the_outlier_channel_is_the_cause(spread):
    noise = scan_output_noise(spread, SAMPLES)
    assert max(noise.values, key=noise.values.get) == "e"
    assert noise.values["e"] > 0.9 * noise.total
    expand = next(node for node in spread.graph.nodes if node.name == "expand")
    assert noise.share_of(expand) > 0.9


def test_the_rounding_of_an_output_is_exact(calm):
    plain = dataclasses.replace(
        calm, qparams={"y": calm.qparams["y"]}, integers={}, islands={node.name: "test" for node in calm.graph.nodes}
    )
    assert scan_output_noise(plain, SAMPLES, probes=1).total == pytest.approx(measured(plain), rel=1e-3)


def test_the_same_seed_gives_the_same_numbers(spread):
    first, second = (scan_output_noise(spread, SAMPLES, count=2, seed=3) for _ in range(2))
    assert first == second
    assert first != scan_output_noise(spread, SAMPLES, count=2, seed=4)


def test_weight_only_has_noise_in_weights_alone():
    noise = scan_output_noise(quantize_weights(outlier_net()), SAMPLES, count=2)
    assert noise.values == {}
    assert noise.total > 0


def test_nothing_quantized_is_no_noise():
    graph = outlier_net()
    noise = scan_output_noise(QuantizedGraph(graph, {}, {}), SAMPLES, count=2)
    assert noise.total == 0.0
    assert noise.share_of(graph.nodes[0]) == 0.0
