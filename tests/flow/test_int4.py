"""int4 from torch to files, on nets with tables, resizes, grouped channels and several inputs."""

import numpy as np
import pytest

from edgekit.emit.exporter import emit
from edgekit.load.trace import trace
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs
from tests.emit.test_onnx_int4 import LEAST_DB, decibels


@pytest.mark.parametrize("name", ["transformer", "unet", "shufflenet", "multi_input"])
def test_both_files_compute_what_the_table_says(name, tmp_path):
    trace(build(name), NETS[name].inputs, tmp_path / "traced.onnx")
    quantized = quantize_int4(simplify(tmp_path / "traced.onnx", name=name).graph)
    assert "int4" in {params.dtype for params in quantized.qparams.values()}
    (sample,) = sample_inputs(name, 1)
    expected = ReferenceSession(quantized).run(sample)
    for format, open_file in (("onnx-int4", open_onnx), ("tflite-int4", open_tflite)):
        path = tmp_path / f"model.{format}"
        emit(quantized, path, format=format, metadata={})
        found = open_file(path).run(sample)
        for output, array in expected.items():
            assert array.dtype == np.float32
            assert decibels(found[output], array) > LEAST_DB
