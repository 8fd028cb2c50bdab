"""First layers in float, last results unrounded: every file of one graph still means the same."""

import numpy as np
import onnx
import pytest

from edgekit.check.fusion_ort import read_onnx
from edgekit.emit.exporter import emit, float_artifact
from edgekit.load.trace import trace
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.first_and_last import FIRST, first_layers, last_layers
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.types.plan import Plan

FORMATS = ("onnx-int8", "onnx-x86", "onnx-qop", "onnx-vnni", "onnx-arm", "onnx-host", "tflite-int8")
BOUND_STEPS = {"resnet8": 2, "mobilenet_v3": 2, "vit": 10}
"""Largest difference at the outputs, in steps that an int8 output would have: as for nets that are int8 all through."""
CALIBRATION = 16


class Borders:
    """A net whose borders are float, with what its files ought to say."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        samples = sample_inputs(name, CALIBRATION + 4)
        trace(build(name), NETS[name].inputs, folder / "traced.onnx")
        graph = simplify(folder / "traced.onnx", name=name).graph
        tapped = open_onnx(float_artifact(graph, folder / "f.onnx", metadata={}).path, taps=observed_values(graph))
        histograms = observe(tapped, graph, samples[:CALIBRATION])
        self.plain = quantize(graph, histograms)
        self.last = last_layers(self.plain)
        self.first = first_layers(self.plain, most_share=0.4)[-1]
        plan = Plan(float_results=frozenset(self.last), float_nodes=dict.fromkeys(self.first.nodes, FIRST))
        self.quantized = quantize(graph, histograms, plan)
        self.held_back = samples[CALIBRATION:]
        self.expected = [ReferenceSession(self.quantized).run(sample) for sample in self.held_back]


@pytest.fixture(scope="module", params=BOUND_STEPS)
def borders(request, tmp_path_factory):
    return Borders(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_says_what_the_reference_says(borders, format):
    path = borders.folder / f"model.{format}"
    emit(borders.quantized, path, format=format, metadata={})
    session = open_tflite(path) if format.startswith("tflite") else open_onnx(path)
    for sample, expected in zip(borders.held_back, borders.expected, strict=True):
        found = session.run(sample)
        for name in borders.quantized.graph.outputs:
            step = float(borders.plain.qparams[name].scale)
            assert np.abs(found[name] - expected[name]).max() <= BOUND_STEPS[borders.name] * step


def test_the_borders_are_float_and_the_rest_is_not(borders):
    graph = borders.quantized.graph
    float_anyway = borders.plain.islands.keys()
    assert borders.quantized.islands.keys() - float_anyway <= {*borders.first.nodes, *borders.last}
    assert not {*graph.inputs, *graph.outputs} & borders.quantized.qparams.keys()
    assert borders.first.value in borders.quantized.qparams


def fusion_of(borders, name, quantized):
    path = borders.folder / f"{name}.onnx"
    emit(quantized, path, format="onnx-x86", metadata={})
    return read_onnx(path, quantized)


def test_the_last_layer_runs_on_integers_in_onnx_runtime(borders):
    before = fusion_of(borders, "before", borders.plain)
    after = fusion_of(borders, "after", borders.quantized)
    assert before.operators["QGemm"] == after.operators["QGemm"] >= 1
    assert set(after.left_float) <= set(before.left_float)


def test_first_layers_keep_their_float_weights_without_a_detour(borders):
    path = borders.folder / "detour.onnx"
    emit(borders.quantized, path, format="onnx-x86", metadata={})
    model = onnx.load(path).graph
    first = [node for node in borders.quantized.graph.nodes if node.name in borders.first.nodes and node.op == "Conv"]
    assert {node.inputs[1] for node in first} <= {tensor.name for tensor in model.initializer}
    assert first
    assert "Max" not in {node.op_type for node in model.node}
