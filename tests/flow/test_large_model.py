"""A float ONNX file beyond the 2 GiB that one protobuf message may have, its weights in a file beside it.

It needs 6 GB of disk, 16 GB of memory and five minutes on two busy cores, so it runs only when EDGEKIT_LARGE=1;
`test_onnx_with_its_weights_in_another_file` and the emitters' tests cover the same code in small.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edgekit
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.recipe import CheckSettings, EmitSettings, Recipe

WIDTH, LAYERS = 14_000, 3
ROWS = 1_000
"""Rows of a weight that are drawn and written at a time: the test itself needs 56 MB."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("EDGEKIT_LARGE") != "1", reason="takes minutes and 16 GB of memory: set EDGEKIT_LARGE=1"
    ),
]


def write_large(folder: Path) -> Path:
    """Three square Gemm layers with ReLU between, 2.35 GB of weights written raw."""
    random = np.random.default_rng(0)
    weights, nodes, value = [], [], "x"
    with (folder / "large.bin").open("wb") as stream:
        for layer in range(LAYERS):
            offset = stream.tell()
            for _ in range(WIDTH // ROWS):
                rows = random.standard_normal((ROWS, WIDTH), dtype=np.float32)
                stream.write((rows * np.float32((2 / WIDTH) ** 0.5)).tobytes())
            tensor = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH])
            tensor.data_location = TensorProto.EXTERNAL
            for key, text in (("location", "large.bin"), ("offset", offset), ("length", WIDTH * WIDTH * 4)):
                tensor.external_data.add(key=key, value=str(text))
            weights.append(tensor)
            nodes.append(helper.make_node("Gemm", [value, f"w{layer}"], [f"h{layer}"], transB=1))
            value = f"h{layer}"
            if layer < LAYERS - 1:
                nodes.append(helper.make_node("Relu", [value], [f"r{layer}"]))
                value = f"r{layer}"
    border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH]) for name in ("x", value)]
    graph = helper.make_graph(nodes, "large", border[:1], border[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    return folder / "large.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: pytest keeps those of its last three sessions."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_a_model_over_two_gigabytes(folder: Path) -> None:
    samples = np.random.default_rng(1).standard_normal((4, WIDTH), dtype=np.float32)
    result = edgekit.compress(
        write_large(folder),
        calibration=samples,
        out=folder / "out",
        recipe=Recipe(
            emit=EmitSettings(formats=("onnx-fp32", "onnx-x86", "tflite-int8")), check=CheckSettings(seconds=1.0)
        ),
    )
    exact = result.files["onnx-fp32"]
    assert exact.with_name(f"{exact.name}.data").stat().st_size > 2**31
    onnx.checker.check_model(str(exact))
    (expected,) = open_onnx(exact).run({"x": samples[:1]}).values()
    for format, open_file in (("onnx-x86", open_onnx), ("tflite-int8", open_tflite)):
        assert result.files[format].stat().st_size < 0.26 * LAYERS * WIDTH * WIDTH * 4
        (found,) = open_file(result.files[format]).run({"x": samples[:1]}).values()
        noise = float(np.square(found - expected).sum() / np.square(expected).sum())
        assert 10 * np.log10(1 / noise) > 20
