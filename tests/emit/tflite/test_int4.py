import subprocess

import pytest

from edgekit.emit.tflite import int4
from edgekit.runtime import litert
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.int4 import quantize_int4
from tests.emit import test_onnx_int4 as onnx_tests
from tests.emit.test_onnx_int4 import LEAST_DB, decibels
from tests.emit.tflite.sketch import Sketch, operators, read


@pytest.mark.parametrize("case", onnx_tests.CASES)
@pytest.mark.parametrize("delegate", [True, False])
def test_the_file_says_what_the_table_says(case, delegate, tmp_path):
    sketch = Sketch()
    quantized = quantize_int4(sketch.graph(case(sketch)), spare=0.0)
    int4.write(quantized, tmp_path / "model.tflite")
    expected = ReferenceSession(quantized).run(sketch.feeds())
    session = litert.open_tflite(tmp_path / "model.tflite", threads=1, delegate=delegate)
    found = session.run(sketch.feeds())
    for name, array in expected.items():
        assert decibels(found[name], array) > LEAST_DB


def test_a_pointwise_convolution_becomes_what_xnnpack_takes(tmp_path):
    sketch = Sketch()
    int4.write(quantize_int4(sketch.graph(onnx_tests.pointwise(sketch)), spare=0.0), tmp_path / "model.tflite")
    found = operators(tmp_path / "model.tflite")
    assert found["FULLY_CONNECTED"] == 1
    assert found["CONV_2D"] == 0


def test_two_weights_share_a_byte(tmp_path):
    sketch = Sketch()
    int4.write(quantize_int4(sketch.graph(sketch.gemm(sketch.input(1, 256), 128)), spare=0.0), tmp_path / "m.tflite")
    sizes = [0 if buffer.data is None else len(buffer.data) for buffer in read(tmp_path / "m.tflite").buffers]
    assert max(sizes) == 256 * 128 // 2


def test_the_old_runtime_refuses_the_file_before_it_runs(tflite_runtime_python, tmp_path):
    """tflite-runtime 2.14 has no int4 DEQUANTIZE; asked for it under an older version, it would stop half-way."""
    sketch = Sketch()
    path = tmp_path / "model.tflite"
    int4.write(quantize_int4(sketch.graph(onnx_tests.linear(sketch)), spare=0.0), path)
    code = "import sys; from tflite_runtime.interpreter import Interpreter; Interpreter(sys.argv[1])"
    done = subprocess.run([tflite_runtime_python, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DEQUANTIZE' version '6'" in done.stderr
