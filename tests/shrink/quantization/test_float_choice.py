import dataclasses
import math

import pytest

from edgekit.emit.exporter import emit
from edgekit.shrink.quantization.float_choice import count_products, order_floats, share_price
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.float_bytes import count_float_bytes
from edgekit.types.output_noise import OutputNoise
from edgekit.types.plan import Plan
from tests.shrink.quantization.graphs import histograms, two_branches
from tests.shrink.quantization.outliers import outlier_net


@pytest.fixture(scope="module")
def quantized():
    graph = outlier_net()
    return quantize(graph, histograms(graph, {}))


def test_the_nodes_around_the_worst_value_come_first(quantized):
    noise = OutputNoise({"stem": 0.001, "conv0": 0.002}, {"e": 0.5, "y": 1e-5})
    first, *rest = order_floats(quantized, noise)
    assert first.nodes == ("expand", "project")
    assert first.gain == pytest.approx(0.5)
    assert first.left == pytest.approx(noise.total - 0.5)
    assert [step.nodes for step in rest][:2] in ([("conv0",), ("stem",)], [("stem",), ("conv0",)])


def test_what_is_left_is_what_the_noise_says(quantized):
    noise = OutputNoise({"stem": 0.1, "project": 0.2}, {"s": 0.05, "e": 0.3, "h0": 0.1, "h1": 0.02, "x": 0.01})
    chosen = set()
    for step in order_floats(quantized, noise):
        assert step.nodes
        assert not chosen & set(step.nodes)
        chosen |= set(step.nodes)
        assert step.left == pytest.approx(noise.without(quantized.graph, chosen), abs=1e-12)


def test_what_does_not_fit_is_passed_over(quantized):
    noise = OutputNoise({"head": 0.01, "conv0": 0.9}, {})
    most = count_float_bytes(quantized, next(node for node in quantized.graph.nodes if node.name == "head"))
    assert [step.nodes for step in order_floats(quantized, noise, most_bytes=most)] == [("head",)]
    assert order_floats(quantized, noise, most_bytes=most - 1) == ()


def test_nothing_to_win_nothing_to_do(quantized):
    assert order_floats(quantized, OutputNoise()) == ()


def test_a_requantize_stands_for_the_concat_that_wants_it():
    graph = two_branches(clamp_left=(0.0, math.inf), clamp_right=(0.0, 6.0))
    quantized = quantize(graph, histograms(graph, {}, default=(0.0, 2.0)))
    assert any(node.op == "Requantize" for node in quantized.graph.nodes)
    noise = OutputNoise({}, dict.fromkeys((name for name in quantized.qparams if name in quantized.graph.values), 0.1))
    named = {name for step in order_floats(quantized, noise) for name in step.nodes}
    assert named == {"left", "right", "join"}


def test_bytes_are_those_that_the_file_grows_by(quantized, tmp_path):
    graph = outlier_net()
    before = emit(quantized, tmp_path / "a.onnx", format="onnx-x86", metadata={}).size_bytes
    wider = quantize(graph, histograms(graph, {}), Plan(float_nodes={"project": "test"}))
    after = emit(wider, tmp_path / "b.onnx", format="onnx-x86", metadata={}).size_bytes
    project = next(node for node in quantized.graph.nodes if node.name == "project")
    assert count_float_bytes(quantized, project) == pytest.approx(after - before, abs=400)
    assert count_float_bytes(quantized, project) > 3 * 12 * 12 * 9 * 0.9


def test_products_and_prices(quantized):
    graph = quantized.graph
    by_name = {node.name: node for node in graph.nodes}
    assert count_products(graph, by_name["stem"]) == 12 * 8 * 8 * 3 * 9
    assert count_products(graph, by_name["head"]) == 5 * 12
    assert count_products(graph, by_name["pool"]) == 0
    prices = share_price(graph, dict.fromkeys(by_name, 10))
    assert prices["project"] > prices["stem"] > prices["flat"] > 0


def test_nodes_that_share_a_weight_return_together():
    graph = outlier_net()
    shared = [
        dataclasses.replace(node, inputs=(node.inputs[0], "w.0")) if node.name == "conv1" else node
        for node in graph.nodes
    ]
    graph = dataclasses.replace(graph, nodes=tuple(shared))
    quantized = quantize(graph, histograms(graph, {}))
    steps = order_floats(quantized, OutputNoise({"conv0": 0.5}, {"h1": 0.1}))
    assert [step.nodes for step in steps] == [("conv0", "conv1")]
    assert steps[0].gain == pytest.approx(0.6)
    quantize(graph, histograms(graph, {}), Plan(float_nodes=dict.fromkeys(steps[0].nodes, "test")))
