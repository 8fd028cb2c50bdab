"""Taps: inner values of a running file, under the names of the graph and as reals, whatever the file calls them.

Values are read in groups, so that a deep network at a high resolution does not hold all its activations at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from edgekit.check.signal import to_stored
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.qparams import RANGES, Array, QParams

GROUP_BYTES = 32_000_000
"""Float bytes of the values that one run returns."""

Tap = Callable[[Mapping[str, Array]], dict[str, Array]]
"""sample -> value name -> float32 array (integers for index values)."""


def groups(graph: Graph, names: Sequence[str], *, limit_bytes: int = GROUP_BYTES) -> Iterator[tuple[str, ...]]:
    """Cut `names` into runs of consecutive values of at most `limit_bytes` in float (a single value may exceed it)."""
    group: list[str] = []
    total = 0
    for name in names:
        size = 4 * int(np.prod(graph.shape(name), dtype=np.int64))
        if group and total + size > limit_bytes:
            yield tuple(group)
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        yield tuple(group)


def list_values(path: Path) -> frozenset[str]:
    """Every value an .onnx file computes or takes in."""
    graph = onnx.load(path, load_external_data=False).graph
    return frozenset([*(name for node in graph.node for name in node.output), *(value.name for value in graph.input)])


def tap_float(path: Path, quantized: QuantizedGraph, names: Sequence[str]) -> Tap:
    """Taps of the float file. A Requantize is the identity in float: its result is that of the value before it."""
    present = list_values(path)
    sources = {name: found for name in names if (found := _float_source(quantized.graph, name, present))}
    return _tap(path, quantized.graph, sources, {}, optimize=False)


def tap_int8(path: Path, quantized: QuantizedGraph, names: Sequence[str], *, optimize: bool = False) -> Tap:
    """Taps of a QDQ file: what the integers of each value stand for, or its floats inside a float island.

    Args:
        path: A QDQ file, int8 or uint8.
        quantized: The graph it was made from.
        names: Values to read; those the file does not hold are left out.
        optimize: Read them with the runtime's own kernels (a tapped value can keep a fusion from happening).
    """
    present = list_values(path)
    border = {*quantized.graph.inputs, *quantized.graph.outputs}
    sources: dict[str, str] = {}
    for name in names:
        stored = f"{name}.q" if name in quantized.qparams else name
        if stored in present:
            sources[name] = stored
        elif name in present and name in border:
            sources[name] = name
    return _tap(path, quantized.graph, sources, quantized.qparams, optimize=optimize)


def tap_tflite(path: Path, quantized: QuantizedGraph, names: Sequence[str]) -> Tap:
    """Taps of a TFLite file, on LiteRT's builtin kernels: XNNPACK keeps its inner values to itself."""
    inner = [name for name in names if name not in quantized.graph.inputs]
    session = open_tflite(path, taps=inner)

    def run(sample: Mapping[str, Array]) -> dict[str, Array]:
        stored = {spec.name: to_stored(sample[spec.name], spec) for spec in session.inputs}
        results = {**sample, **session.run(stored)}
        return {name: _reals(results[name], quantized.qparams.get(name)) for name in names if name in results}

    return run


def as_integers(array: Array, params: QParams) -> Array:
    """int32 integers in the numbering of `params` (uint8 files count from 128 more than int8 ones)."""
    if array.dtype.kind == "f":
        return params.quantize(array).astype(np.int32)
    return array.astype(np.int32) - RANGES[str(array.dtype)][0] + RANGES[params.dtype][0]


def _float_source(graph: Graph, name: str, present: frozenset[str]) -> str:
    while name not in present and name in graph.producers and graph.producers[name].op == "Requantize":
        name = graph.producers[name].inputs[0]
    return name if name in present else ""


def _tap(
    path: Path, graph: Graph, sources: Mapping[str, str], qparams: Mapping[str, QParams], *, optimize: bool
) -> Tap:
    """Open the file with the sources as extra results; `sources` is value name -> name in the file."""
    feedable = set(graph.inputs)
    session = open_onnx(path, taps=sorted(set(sources.values()) - feedable), optimize=optimize)

    def run(sample: Mapping[str, Array]) -> dict[str, Array]:
        stored = {spec.name: to_stored(sample[spec.name], spec) for spec in session.inputs}
        results = {**sample, **session.run(stored)}
        return {name: _reals(results[source], qparams.get(name)) for name, source in sources.items()}

    return run


def _reals(array: Array, params: QParams | None) -> Array:
    if params is None:
        return array
    return params.dequantize(as_integers(array, params))
