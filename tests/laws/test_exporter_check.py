"""The check for exporters finds an exporter that is wrong, and says where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.emit import onnx_qdq
from edgekit.errors import ParityError
from edgekit.runtime.ort import open_onnx
from edgekit.testing.exporter_check import LSB_BOUNDS, check_exporter, difference
from edgekit.testing.single_op import catalogue, gemm_case
from edgekit.types.graph import QuantizedGraph
from edgekit.types.operators import OPERATORS


def _swapped(quantized: QuantizedGraph, path: Path, *, io: str, metadata: Mapping[str, str]) -> None:
    """An exporter that takes the operands of a node the wrong way round."""
    graph = quantized.graph
    nodes = tuple(replace(node, inputs=node.inputs[::-1]) for node in graph.nodes)
    onnx_qdq.write(replace(quantized, graph=replace(graph, nodes=nodes)), path, io=io, metadata=metadata)


def test_a_right_exporter_passes_and_every_operator_is_measured() -> None:
    worst = check_exporter(onnx_qdq.write, open_onnx, operators={"Gemm", "Add"}, suffix=".onnx")
    assert set(worst) == {"Gemm", "Add"}
    assert max(worst.values()) <= 1


def test_swapped_operands_are_found_and_named() -> None:
    with pytest.raises(ParityError, match=r"Sub x0\[1, 3, 4, 5\].*LSB") as caught:
        check_exporter(_swapped, open_onnx, operators={"Sub"}, suffix=".onnx")
    assert caught.value.measured > caught.value.limit == LSB_BOUNDS["Sub"]


def test_the_catalogue_and_the_bounds_hold_every_operator() -> None:
    assert {case.op for case in catalogue()} == set(OPERATORS) == set(LSB_BOUNDS)


def test_labels_are_unique() -> None:
    labels = [(case.label, case.feeds[next(iter(case.feeds))].tobytes()) for case in catalogue()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("wrong", [np.full((1, 8), np.nan, np.float32), np.zeros((1, 7), np.float32)])
def test_nonsense_is_infinitely_far(wrong: np.ndarray) -> None:
    assert difference(gemm_case().quantized, {"y0": wrong}, {"y0": np.zeros((1, 8), np.float32)}) == float("inf")


def test_differences_count_steps_of_the_result() -> None:
    case = gemm_case()
    scale = float(case.quantized.qparams["y0"].scale)
    zeros = np.zeros((1, 8), np.float32)
    assert difference(case.quantized, {"y0": zeros + np.float32(2 * scale)}, {"y0": zeros}) == 2
