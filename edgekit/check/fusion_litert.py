"""What LiteRT executes: read from the interpreter after its delegates took their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.check.fusion import Executed, Kind, summarize_fusion
from edgekit.errors import ModelLoadError
from edgekit.types.graph import QuantizedGraph
from edgekit.types.report import Fusion

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

_DELEGATE = "DELEGATE"
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_BYTES = (np.int8, np.uint8)


def read_tflite(path: Path, quantized: QuantizedGraph) -> Fusion:
    """Load the file with XNNPACK and count operators by the type they compute in.

    Args:
        path: A .tflite file.
        quantized: The graph it was made from.

    Raises:
        ModelLoadError: LiteRT cannot load the file.
    """
    executed, delegated = list_tflite(path)
    return summarize_fusion(quantized, executed, delegated=delegated)


def list_tflite(path: Path) -> tuple[list[Executed], int | None]:
    """Every operator of a file, and how many partitions XNNPACK took of it (None where the runtime does not tell).

    Raises:
        ModelLoadError: LiteRT cannot load the file.
    """
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        operators = _list_operators(interpreter)
        tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    except (RuntimeError, ValueError) as error:
        raise ModelLoadError(f"LiteRT cannot load {path.name}: {error}") from error
    executed = [_read(operator, tensors) for operator in operators if operator["op_name"] != _DELEGATE]
    delegated = sum(operator["op_name"] == _DELEGATE for operator in operators) if operators else None
    return executed, delegated


def _list_operators(interpreter: Any) -> list[Mapping[str, Any]]:
    """The operators of the file and, behind them, one "DELEGATE" per partition a delegate took.

    Upstream marks this listing as experimental; without it the list is empty and nothing is claimed.
    """
    listing = getattr(interpreter, "_get_ops_details", None)
    return list(listing()) if listing is not None else []


def _read(operator: Mapping[str, Any], tensors: Mapping[int, Mapping[str, Any]]) -> Executed:
    name = str(operator["op_name"])
    results = [tensors[index] for index in operator["outputs"] if index in tensors]
    sources = [tensors[index] for index in operator["inputs"] if index in tensors]
    return Executed(name, _kind(name, sources, results), tuple(_names(results)))


def _kind(name: str, sources: list[Mapping[str, Any]], results: list[Mapping[str, Any]]) -> Kind:
    if name in _CONVERSIONS:
        return "conversion"
    if any(result["dtype"] in _BYTES for result in results):
        return "int8"
    if any(result["dtype"] is np.float32 for result in results):
        return "float"
    return "int8" if sources and sources[0]["dtype"] in _BYTES else "index"


def _names(results: list[Mapping[str, Any]]) -> Iterator[str]:
    for result in results:
        yield str(result["name"])
