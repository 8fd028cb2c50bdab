"""Every family of nets, from torch to files: parity in float, agreement of every int8 file with the reference."""

import numpy as np
import pytest

from edgekit.emit.exporter import emit, float_artifact
from edgekit.load.trace import trace
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs

FORMATS = ("onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8")
CALIBRATION, HELD_BACK = 32, 6

LSB_BOUNDS = {
    "unet": 6,  # two linear resizes, whose kernels interpolate in fixed point
    "audio_1d": 3,
    "transformer": 5,
    "silu_net": 4,  # the longest chain of products
    "vit": 10,  # Softmax and LayerNormalization differ by a step, and attention spreads it
    "zoo_activations": 4,  # Gelu and HardSwish from tables and polynomials
    "lstm": 4,
    "lstm_stacked": 4,
    "gru": 4,
    "gru_bidirectional": 4,
}
"""Largest difference at the outputs, in steps of the output; 2 where a net is not listed."""

LEAST_SQNR_DB = {"silu_net": 12.0, "lstm": 15.0, "lstm_stacked": 15.0, "gru": 15.0, "gru_bidirectional": 15.0}
"""Signal to noise of int8 against float; 20 dB where a net is not listed."""


class Flow:
    """One net, taken through the stages once for all its tests."""

    def __init__(self, name, folder):
        self.name = name
        self.samples = sample_inputs(name, CALIBRATION + HELD_BACK)
        self.held_back = self.samples[CALIBRATION:]
        trace(build(name), NETS[name].inputs, folder / "traced.onnx")
        self.simplified = simplify(folder / "traced.onnx", name=name)
        self.graph = self.simplified.graph
        self.traced = open_onnx(folder / "traced.onnx")
        self.float_file = float_artifact(self.graph, folder / "model.fp32.onnx", metadata={})
        tapped = open_onnx(self.float_file.path, taps=observed_values(self.graph))
        self.quantized = quantize(self.graph, observe(tapped, self.graph, self.samples[:CALIBRATION]))
        reference, exact = ReferenceSession(self.quantized), open_onnx(self.float_file.path)
        self.expected = [reference.run(sample) for sample in self.held_back]
        self.exact = [exact.run(sample) for sample in self.held_back]
        self.folder = folder

    def open(self, format):
        path = self.folder / f"model.{format}"
        emit(self.quantized, path, format=format, metadata={})
        return open_tflite(path) if format.startswith("tflite") else open_onnx(path)


@pytest.fixture(scope="module", params=NETS)
def flow(request, tmp_path_factory):
    return Flow(request.param, tmp_path_factory.mktemp(request.param))


def test_simplified_graph_computes_what_the_traced_model_computes(flow):
    simplified = open_onnx(flow.float_file.path)
    for sample in flow.samples[:3]:
        before, after = flow.traced.run(sample), simplified.run(sample)
        for name in flow.graph.outputs:
            scale = max(1.0, float(np.abs(before[name]).max()))
            np.testing.assert_allclose(after[name], before[name], atol=2e-5 * scale, rtol=1e-4)


def test_every_node_names_a_torch_module(flow):
    modules = {name for name, _ in build(flow.name).named_modules()}
    for node in flow.graph.nodes:
        assert node.module in modules, f"{node.name} names '{node.module}'"


def power(flow, first, second):
    """Sum of squared differences over the quantized outputs of all held-back samples."""
    names = [name for name in flow.graph.outputs if name in flow.quantized.qparams]
    return sum(
        float(((one[name].astype(np.float64) - other[name]) ** 2).sum())
        for one, other in zip(first, second, strict=True)
        for name in names
    )


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_agrees_with_the_reference(flow, format):
    session, bound = flow.open(format), LSB_BOUNDS.get(flow.name, 2)
    found = [session.run(sample) for sample in flow.held_back]
    for result, expected in zip(found, flow.expected, strict=True):
        for name in flow.graph.outputs:
            assert result[name].shape == expected[name].shape
            params = flow.quantized.qparams.get(name)
            step = 1.0 if params is None else float(params.scale)
            assert np.abs(result[name].astype(np.float64) - expected[name]).max() <= (bound + 1e-3) * step
    kernels, quantization = power(flow, found, flow.expected), power(flow, flow.exact, flow.expected)
    assert kernels <= quantization  # what kernels round differently costs no more than int8 itself


def test_int8_keeps_the_signal(flow):
    noise = power(flow, flow.exact, flow.expected)
    if noise:
        silence = [{name: np.zeros_like(array) for name, array in one.items()} for one in flow.exact]
        sqnr_db = 10 * np.log10(power(flow, flow.exact, silence) / noise)
        assert sqnr_db >= LEAST_SQNR_DB.get(flow.name, 20.0)


def test_nothing_is_left_in_float(flow):
    assert not flow.quantized.islands


def test_a_batch_of_two_is_two_runs(flow):
    if not flow.graph.batch_axes:
        assert "batch-fixed" in {finding.code for finding in flow.simplified.findings}
        return
    session = open_onnx(flow.float_file.path)
    first, second = flow.samples[:2]
    both = session.run({name: np.concatenate([first[name], second[name]]) for name in first})
    for name in flow.graph.outputs:
        axis = flow.graph.batch_axes[name]
        alone = np.concatenate([session.run(sample)[name] for sample in (first, second)], axis=axis)
        np.testing.assert_allclose(both[name], alone, atol=1e-4, rtol=1e-4)
