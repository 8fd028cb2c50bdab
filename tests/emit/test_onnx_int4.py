"""Every way a weight is stored says what the table says, and the runtime runs it in float at float speed."""

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.emit import onnx_float, onnx_int4
from edgekit.emit.exporter import emit
from edgekit.errors import EmitError
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.types.artifact import with_int4_weights
from tests.emit.graphs import feeds, float_graph
from tests.emit.tflite.sketch import Sketch

LEAST_DB = 100.0
"""Float kernels of two runtimes; int8 activations anywhere would stay below 50."""


def decibels(found, expected):
    noise = np.square(found.astype(np.float64) - expected).sum()
    return 10 * np.log10(np.square(expected.astype(np.float64)).sum() / max(noise, 1e-30))


def conv(sketch):
    return sketch.conv(sketch.input(1, 64, 5, 5), 12, kernel=(3, 3), pads=(1, 1, 1, 1), clamp=(0.0, 6.0))


def conv_per_channel(sketch):
    return sketch.conv(sketch.input(1, 7, 5, 5), 5, kernel=(3, 3))


def conv_1d(sketch):
    return sketch.conv(sketch.input(1, 32, 9), 6, kernel=(3,))


def grouped(sketch):
    return sketch.conv(sketch.input(1, 64, 4, 4), 8, group=2)


def pointwise(sketch):
    return sketch.conv(sketch.input(1, 128, 4, 4), 10, clamp=(0.0, float("inf")))


def transposed(sketch):
    attributes = {"strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "output_padding": (0, 0)}
    source, weight = sketch.input(1, 32, 3, 3), sketch.weight(32, 5, 2, 2)
    return sketch.node("ConvTranspose", source, weight, sketch.weight(5), **attributes)


def linear(sketch):
    return sketch.gemm(sketch.input(3, 64), 9)


def linear_of_rank_3(sketch):
    return sketch.node("Gemm", sketch.input(1, 5, 96), sketch.weight(7, 96), clamp=(0.0, float("inf")))


def linear_per_channel(sketch):
    return sketch.gemm(sketch.input(1, 5, 37), 3)


def after_a_map(sketch):
    inner = sketch.conv(sketch.input(1, 64, 2, 2), 16)
    return sketch.gemm(sketch.node("Reshape", inner, shape=(1, 64)), 5)


def table(sketch):
    ids = sketch.indices(np.array([[0, 4, 10, 1]]))
    return sketch.node("Gather", sketch.weight(11, 64), ids, axis=0)


def narrow_table(sketch):
    ids = sketch.indices(np.array([[0, 4, 10, 1]]))
    return sketch.node("Gather", sketch.weight(11, 6), ids, axis=0)


CASES = (conv, conv_per_channel, conv_1d, grouped, pointwise, transposed, linear, linear_of_rank_3)
CASES += (linear_per_channel, after_a_map, table, narrow_table)


@pytest.mark.parametrize("case", CASES)
def test_the_file_says_what_the_table_says(case, tmp_path):
    sketch = Sketch()
    quantized = quantize_int4(sketch.graph(case(sketch)), spare=0.0)
    onnx_int4.write(quantized, tmp_path / "model.onnx")
    expected = ReferenceSession(quantized).run(sketch.feeds())
    for optimize in (True, False):
        found = open_onnx(tmp_path / "model.onnx", threads=1, optimize=optimize).run(sketch.feeds())
        for name, array in expected.items():
            assert decibels(found[name], array) > LEAST_DB


@pytest.mark.parametrize("case", CASES[:-1])
def test_the_weights_are_int4(case):
    sketch = Sketch()
    quantized = quantize_int4(sketch.graph(case(sketch)), spare=0.0)
    assert "int4" in {params.dtype for params in quantized.qparams.values()}


def executed(path, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}


def test_convolution_weights_are_unpacked_when_the_file_is_loaded(tmp_path):
    sketch = Sketch()
    onnx_int4.write(quantize_int4(sketch.graph(conv(sketch)), spare=0.0), tmp_path / "model.onnx")
    found = executed(tmp_path / "model.onnx", tmp_path)
    assert "Conv" in found or "FusedConv" in found
    assert not found & {"Cast", "Mul", "DequantizeLinear"}


@pytest.mark.parametrize(("case", "operator"), [(linear, "MatMulNBits"), (table, "GatherBlockQuantized")])
def test_linear_weights_and_tables_stay_packed_in_memory(case, operator, tmp_path):
    sketch = Sketch()
    onnx_int4.write(quantize_int4(sketch.graph(case(sketch)), spare=0.0), tmp_path / "model.onnx")
    found = executed(tmp_path / "model.onnx", tmp_path)
    assert operator in found
    assert not found & {"Cast", "DequantizeLinear", "DynamicQuantizeLinear"}


def test_a_weight_takes_an_eighth(tmp_path):
    sketch = Sketch()
    graph = sketch.graph(sketch.conv(sketch.input(1, 256, 4, 4), 256, kernel=(3, 3)))
    onnx_float.write(graph, tmp_path / "float.onnx")
    artifact = emit(quantize_int4(graph), tmp_path / "model.onnx", format="onnx-int4", metadata={})
    assert artifact.size_bytes < 0.15 * (tmp_path / "float.onnx").stat().st_size


def test_batches_of_any_size(tmp_path):
    quantized = quantize_int4(float_graph(), spare=0.0)
    onnx_int4.write(quantized, tmp_path / "model.onnx")
    (feed,) = feeds(1, batch=3)
    found = open_onnx(tmp_path / "model.onnx", threads=1).run(feed)
    assert decibels(found["y"], ReferenceSession(quantized).run(feed)["y"]) > LEAST_DB


@pytest.mark.parametrize("name", ["onnx-int4", "tflite-int4"])
def test_quantized_activations_are_refused(name, tmp_path):
    sketch = Sketch()
    with pytest.raises(EmitError, match="activations in float"):
        emit(sketch.int8(linear(sketch)), tmp_path / "model", format=name, metadata={})


@pytest.mark.parametrize("name", ["onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8"])
def test_other_formats_refuse_int4(name, tmp_path):
    sketch = Sketch()
    with pytest.raises(EmitError, match="no int4 weights"):
        emit(quantize_int4(sketch.graph(linear(sketch)), spare=0.0), tmp_path / "model", format=name, metadata={})


def test_each_runtime_that_was_asked_for_gets_one_file():
    assert with_int4_weights(("tflite-int8", "onnx-x86", "onnx-int8")) == ("onnx-int4", "tflite-int4")
    assert with_int4_weights(("tflite-int4",)) == ("tflite-int4",)
