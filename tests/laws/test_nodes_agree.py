"""Whole networks, one node at a time: each file's kernels are within a step of the reference everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.emit import onnx_float, onnx_qdq
from edgekit.emit.tflite import export
from edgekit.load.trace import trace
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.testing.case import Case
from edgekit.testing.exporter_check import LSB_BOUNDS, check_case
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.testing.node_cases import node_cases


@pytest.fixture(scope="module", params=["mobilenet_v3", "vit"])
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Every node of a network that was calibrated on four samples."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    samples = sample_inputs(request.param, 5)
    trace(build(request.param), NETS[request.param].inputs, folder / "traced.onnx")
    graph = simplify(folder / "traced.onnx", name=request.param).graph
    onnx_float.write(graph, folder / "float.onnx")
    histograms = observe(open_onnx(folder / "float.onnx", taps=observed_values(graph)), graph, samples[:4])
    found = list(node_cases(quantize(graph, histograms), samples[4]))
    assert len(found) == len(graph.nodes)
    return found


def test_onnx_nodes_equal_the_reference(cases: list[Case]) -> None:
    for case in cases:
        check_case(case, onnx_qdq.write, open_onnx, suffix=".onnx", limit=LSB_BOUNDS[case.op])


@pytest.mark.parametrize("delegate", [True, False])
def test_tflite_nodes_equal_the_reference(cases: list[Case], delegate: bool) -> None:
    for case in cases:
        check_case(
            case,
            export.write,
            lambda path: open_tflite(path, delegate=delegate),
            suffix=".tflite",
            limit=LSB_BOUNDS[case.op],
        )
