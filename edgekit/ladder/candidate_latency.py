"""Latency of a candidate on this machine, for rungs that trade speed for accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgekit.check.latency import measure
from edgekit.check.machine import describe_machine
from edgekit.check.signal import to_stored
from edgekit.emit.exporter import emit
from edgekit.runtime.ort import open_onnx
from edgekit.types.artifact import Format
from edgekit.types.graph import QuantizedGraph
from edgekit.types.qparams import Array
from edgekit.types.report import Latency

SECONDS = 1.0
"""Wall time of one comparison: tells 5 % apart on models of a few ms."""
_FLOAT: Format = "onnx-fp32"


def measure_candidates(
    candidates: Mapping[str, QuantizedGraph],
    sample: Mapping[str, Array],
    workdir: Path,
    *,
    seconds: float = SECONDS,
) -> dict[str, Latency]:
    """Time candidates in turns with the float model on ONNX Runtime, one thread, batch 1.

    Args:
        candidates: name -> what its file is made from; all of one float graph up to rescaled constants.
        sample: One input.
        workdir: For the files.
        seconds: Wall time to spend.

    Returns:
        name -> Latency, its ratio taken to the float file.
    """
    stored: Format = "onnx-x86" if describe_machine().system.endswith(("x86_64", "AMD64")) else "onnx-int8"
    first = next(iter(candidates.values()))
    exact = QuantizedGraph(first.graph, {}, {})
    runs: dict[str, Callable[[], object]] = {_FLOAT: _run(exact, workdir / "timed.fp32.onnx", _FLOAT, sample)}
    for index, (name, quantized) in enumerate(candidates.items()):
        runs[name] = _run(quantized, workdir / f"timed.{index}.onnx", stored, sample)
    timed = measure(runs, _FLOAT, budget_seconds=seconds)
    return {name: timed[name] for name in candidates}


def _run(quantized: QuantizedGraph, path: Path, format: Format, sample: Mapping[str, Array]) -> Callable[[], object]:
    emit(quantized, path, format=format, metadata={})
    session = open_onnx(path)
    feeds = {spec.name: to_stored(sample[spec.name], spec) for spec in session.inputs}
    return lambda: session.run(feeds)
