"""int4 where it is harmless, int8 elsewhere; measured on the runtime where a number counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.emit import onnx_float, onnx_int4
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization import int4_options
from edgekit.shrink.quantization.constants import separate_roles
from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.shrink.quantization.int4_options import int4_layers, shrunk
from edgekit.shrink.quantization.moments import gather
from tests.emit.test_onnx_int4 import decibels
from tests.emit.tflite.sketch import Sketch

INF = float("inf")


def net(seed=0):
    """Three layers of 64 channels whose inputs go together, and a small one before them."""
    sketch = Sketch(seed)
    first = sketch.conv(sketch.input(1, 3, 8, 8), 64, kernel=(3, 3), clamp=(0.0, INF))
    second = sketch.conv(first, 64, clamp=(0.0, INF))
    third = sketch.conv(second, 64, kernel=(3, 3), clamp=(0.0, INF))
    flat = sketch.node("Reshape", third, shape=(1, 64 * 16))
    return separate_roles(sketch.graph(sketch.gemm(flat, 32)))


def feeds(count, seed=5):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(192, 24))
    return [{"x0": (mix @ rng.normal(size=24)).reshape(1, 3, 8, 8).astype(np.float32) / 5 + 0.3} for _ in range(count)]


def moments(graph, samples):
    layers = int4_layers(graph)
    session = ReferenceSession(as_float(graph), taps=[node.inputs[0] for layer in layers for node in layer.nodes])
    return list(gather(graph, layers, session.run, samples, count=len(samples)))


def bits(quantized):
    return {name: params.dtype for name, params in quantized.qparams.items()}


def stored(quantized):
    return sum(
        (array.size + 1) // (2 if quantized.qparams[name].dtype == "int4" else 1) + quantized.qparams[name].scale.nbytes
        for name, array in quantized.integers.items()
    )


@pytest.fixture(scope="module")
def graph():
    return net()


@pytest.fixture(scope="module")
def known(graph):
    return moments(graph, feeds(24))


def run_file(graph, quantized, samples, folder):
    onnx_float.write(graph, folder / "float.onnx")
    onnx_int4.write(quantized, folder / "int4.onnx")
    exact, small = (open_onnx(folder / name, threads=1) for name in ("float.onnx", "int4.onnx"))
    (output,) = graph.outputs
    pairs = [(small.run(sample)[output], exact.run(sample)[output]) for sample in samples]
    return decibels(*(np.concatenate(arrays) for arrays in zip(*pairs, strict=True)))


def test_moments_help_on_samples_that_were_not_seen(graph, known, tmp_path):
    samples = feeds(32, seed=9)[24:]
    blind = run_file(graph, quantize_int4(graph, spare=0.0), samples, tmp_path)
    informed = run_file(graph, quantize_int4(graph, known, spare=0.0), samples, tmp_path)
    assert informed > blind + 1.0


def test_the_bias_takes_the_mean_error_out(graph, known):
    quantized = quantize_int4(graph, known, spare=0.0)
    sample = feeds(24)
    layer = next(node for node in graph.nodes if node.op == "Conv" and graph.shape(node.inputs[1])[1:] == (64, 1, 1))
    now = next(node for node in quantized.graph.nodes if node.name == layer.name)
    session = ReferenceSession(as_float(graph), taps=[layer.inputs[0]])
    inputs = np.concatenate([session.run(one)[layer.inputs[0]] for one in sample])
    error = graph.constants[layer.inputs[1]] - quantized.qparams[now.inputs[1]].dequantize(
        quantized.integers[now.inputs[1]]
    )
    left = np.einsum("oc,nchw->o", error[:, :, 0, 0], inputs) / inputs[:, 0].size
    taken = quantized.graph.constants[now.inputs[2]] - graph.constants[layer.inputs[2]]
    assert np.abs(left).max() > 1e-3
    np.testing.assert_allclose(taken, left, atol=0.1 * np.abs(left).max())


def test_short_rows_and_depthwise_stay_int8():
    sketch = Sketch()
    wide = sketch.conv(sketch.input(1, 64, 9, 9), 64, kernel=(7, 7), group=64)
    graph = sketch.graph(sketch.conv(wide, 8))
    quantized = quantize_int4(graph, spare=0.0)
    by_node = {node.name: quantized.qparams[node.inputs[1]].dtype for node in quantized.graph.nodes}
    assert by_node == {"n0": "int8", "n1": "int4"}


@settings(max_examples=10, deadline=None)
@given(st.floats(0.0, 1.2))
def test_int8_stays_within_what_may_be_spared(spare):
    graph = net()
    smallest = stored(quantize_int4(graph, spare=0.0))
    assert smallest <= stored(quantize_int4(graph, spare=spare)) <= smallest * (1 + spare) + 1


def test_int8_goes_where_a_byte_gains_most():
    """Three layers of one size, room for one in int8: the one whose blocks all hold an outlier."""
    sketch = Sketch()
    last = sketch.input(1, 64)
    for _ in range(3):
        last = sketch.gemm(last, 64)
    names = [node.inputs[1] for node in sketch.nodes]
    sketch.constants[names[1]][:, ::64] = 3.0
    found = bits(quantize_int4(sketch.graph(last), spare=0.4))
    assert [found[name] for name in names] == ["int4", "int8", "int4"]


def test_a_weight_of_two_layers_keeps_their_biases():
    sketch = Sketch()
    first = sketch.gemm(sketch.input(1, 64), 64)
    weight, bias = sketch.nodes[0].inputs[1:]
    graph = separate_roles(sketch.graph(sketch.node("Gemm", first, weight, bias)))
    samples = [sketch.feeds()]
    quantized = quantize_int4(graph, moments(graph, samples), spare=0.0)
    biases = [quantized.graph.constants[node.inputs[2]] for node in quantized.graph.nodes]
    assert all((array == sketch.constants[bias]).all() for array in biases)


def test_a_layer_without_a_bias_gets_one():
    sketch = Sketch()
    graph = separate_roles(sketch.graph(sketch.node("Gemm", sketch.input(1, 64), sketch.weight(8, 64))))
    quantized = quantize_int4(graph, moments(graph, [sketch.feeds()]), spare=0.0)
    (node,) = quantized.graph.nodes
    assert quantized.graph.constants[node.inputs[2]].shape == (8,)
    assert quantize_int4(graph).graph.nodes[0].inputs[2:] == ()


def test_every_float_node_is_an_island_and_no_value_has_a_scale(graph):
    quantized = quantize_int4(graph)
    assert set(quantized.islands) == {node.name for node in quantized.graph.nodes}
    assert not set(quantized.qparams) & set(quantized.graph.values)
    assert set(quantized.qparams) == set(quantized.integers)


def test_shrinking_makes_chance_less_certain():
    """Four samples of eight inputs span half of what they could: no direction may look free of cost."""
    few = np.random.default_rng(0).normal(size=(8, 4))
    second = (few @ few.T / 4)[None]
    assert np.linalg.eigvalsh(second).min() < 1e-9
    assert np.linalg.eigvalsh(shrunk(second)).min() > 0.1
    np.testing.assert_allclose(shrunk(np.eye(3)[None]), 1.3 * np.eye(3)[None])


def test_large_weights_are_rounded_some_rows_at_a_time(graph, known, monkeypatch):
    whole = quantize_int4(graph, known, spare=0.0)
    monkeypatch.setattr(int4_options, "CHUNK", 1000)
    parts = quantize_int4(graph, known, spare=0.0)
    for name, integers in whole.integers.items():
        assert (integers != parts.integers[name]).mean() < 0.002  # products of other shapes round differently
