"""The law of the product: every file of a graph says what the reference says, operator by operator.

Bounds are `LSB_BOUNDS`, in steps of the output's scale; a float result has a relative one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from edgekit.emit import onnx_float, onnx_qdq, onnx_qop
from edgekit.emit.retarget import to_uint8
from edgekit.emit.tflite import export
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import as_float
from edgekit.runtime.session import Session
from edgekit.testing import strategies
from edgekit.testing.case import Case
from edgekit.testing.exporter_check import LSB_BOUNDS, Write, check_case
from edgekit.types.graph import QuantizedGraph
from edgekit.types.operators import OPERATORS
from edgekit.types.qparams import Array


@dataclass(frozen=True)
class Route:
    """A file format with the runtime that reads it."""

    write: Write
    open: Callable[[Path], Session]
    suffix: str
    is_float: bool = False
    io: str = "float"
    batch: int = 1


def _write_uint8(quantized: QuantizedGraph, path: Path, *, io: str, metadata: Mapping[str, str]) -> None:
    onnx_qdq.write(to_uint8(quantized), path, io=io, metadata=metadata)


def _repeated(array: Array, batch: int) -> Array:
    """A batch of samples that differ from one another."""
    return np.concatenate([np.roll(array, shift) for shift in range(batch)])


ROUTES = {
    "onnx-fp32": Route(onnx_float.write_float_of, open_onnx, ".onnx", is_float=True),
    "onnx-qdq": Route(onnx_qdq.write, open_onnx, ".onnx"),
    "onnx-qdq-unoptimized": Route(onnx_qdq.write, lambda path: open_onnx(path, optimize=False), ".onnx"),
    "onnx-uint8": Route(_write_uint8, open_onnx, ".onnx"),
    "onnx-qoperator": Route(onnx_qop.write, open_onnx, ".onnx"),
    "onnx-qdq-integers": Route(onnx_qdq.write, open_onnx, ".onnx", io="int8"),
    "onnx-qdq-batch": Route(onnx_qdq.write, open_onnx, ".onnx", batch=3),
    "tflite-fp32": Route(export.write, open_tflite, ".tflite", is_float=True),
    "tflite-integers": Route(export.write, open_tflite, ".tflite", io="int8"),
    "tflite-xnnpack": Route(export.write, open_tflite, ".tflite"),
    "tflite-kernels": Route(export.write, lambda path: open_tflite(path, delegate=False), ".tflite"),
}


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("route", ROUTES)
def test_file_equals_reference(route: str, op: str) -> None:
    way = ROUTES[route]

    @settings(max_examples=5)
    @given(strategies.cases(op))
    def holds(case: Case) -> None:
        if way.is_float:
            case = replace(case, quantized=as_float(case.quantized.graph))
        if way.batch > 1 and case.quantized.graph.batch_axes:
            case = replace(case, feeds={name: _repeated(array, way.batch) for name, array in case.feeds.items()})
        check_case(case, way.write, way.open, suffix=way.suffix, limit=LSB_BOUNDS[op], io=way.io)

    holds()
