"""What keeping one layer in float would cost: time from ONNX Runtime's own profiles, bytes by counting.

Both files are profiled on this machine, and the kernels of a layer in float are set against those in int8. Around a
lone float layer values are converted and re-ordered; what that takes per element is seen in the int8 file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime

from edgekit.check.fusion import find_node
from edgekit.check.signal import to_stored
from edgekit.errors import ModelLoadError
from edgekit.runtime.ort import OrtSession, session_options
from edgekit.types.float_bytes import count_float_bytes
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.operators import Role, role
from edgekit.types.qparams import Array

RUNS = 9
WARM_UP = 2
_KERNEL = "_kernel_time"
_BORDER = frozenset({"QuantizeLinear", "DequantizeLinear", "Transpose"})
"""Operators that stand between integers in the kernels' order and floats in the model's."""


@dataclass(frozen=True)
class LayerCost:
    """What one node in float costs against int8.

    Attributes:
        ms: Time of one inference on this machine, one thread, conversions around it included; below 0 where float is
            faster. None where a profile does not show the node.
        size_bytes: Bytes of constants.
    """

    ms: float | None
    size_bytes: int


@dataclass(frozen=True)
class Profile:
    """Medians over runs, ms.

    Attributes:
        nodes: node name -> time of the kernels that compute it.
        border: Time of the conversions and re-orderings that belong to no node.
        converted: Elements that these write.
    """

    nodes: Mapping[str, float]
    border: float
    converted: int


def estimate_float_costs(
    float_path: Path, int8_path: Path, quantized: QuantizedGraph, sample: Mapping[str, Array]
) -> dict[str, LayerCost]:
    """node name -> cost of keeping this node alone in float, for every int8 node.

    A kernel that a runtime fused into its neighbour shows no time of its own: an Add that a float convolution takes in
    costs nothing in float.

    Args:
        float_path: The float ONNX file.
        int8_path: The int8 ONNX file of this machine's CPU.
        quantized: The graph both were made from.
        sample: One input.

    Raises:
        ModelLoadError: A file cannot be loaded.
    """
    exact, int8 = profile(float_path, quantized, sample), profile(int8_path, quantized, sample)
    rate = int8.border / max(int8.converted, 1)
    costs = {}
    for node in quantized.graph.nodes:
        if not quantized.is_int8(node):
            continue
        ms = None
        if node.name in int8.nodes:
            ms = exact.nodes.get(node.name, 0.0) - int8.nodes[node.name] + rate * _converted(quantized, node)
        costs[node.name] = LayerCost(ms, count_float_bytes(quantized, node))
    return costs


def profile(path: Path, quantized: QuantizedGraph, sample: Mapping[str, Array]) -> Profile:
    """Profile an .onnx file with default optimisation and one thread.

    Raises:
        ModelLoadError: ONNX Runtime cannot load or run it.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        options = session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own classes, none of them public API
            raise ModelLoadError(f"ONNX Runtime cannot load {path.name}: {error}") from error
        runner = OrtSession(session, ())
        feeds = {spec.name: to_stored(sample[spec.name], spec) for spec in runner.inputs}
        for _ in range(WARM_UP + RUNS):
            runner.run(feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        executed = onnx.load(Path(folder) / "optimized.onnx", load_external_data=False).graph
    return _summarize(events, executed, quantized)


def _summarize(events: list[dict[str, Any]], executed: onnx.GraphProto, quantized: QuantizedGraph) -> Profile:
    """Kernel events by node of the quantized graph."""
    times: dict[str, list[float]] = {}
    written: dict[str, int] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            kernel = name.removesuffix(_KERNEL)
            times.setdefault(kernel, []).append(float(str(event["dur"])) / 1e3)
            written[kernel] = _written(event)
    nodes: dict[str, float] = {}
    border, converted = 0.0, 0
    for step in executed.node:
        ms = median(times[step.name][WARM_UP:]) if len(times.get(step.name, ())) > WARM_UP else 0.0
        found = find_node(quantized, (*step.output, step.name))
        if found is not None and not _converts(step.op_type, found):
            nodes[found.name] = nodes.get(found.name, 0.0) + ms
        elif step.op_type in _BORDER:
            border += ms
            converted += written.get(step.name, 0)
    return Profile(nodes, border, converted)


def _written(event: dict[str, Any]) -> int:
    """Elements that a kernel wrote, by its event: `output_type_shape` is [{"float": [1, 16, 12, 12]}]."""
    shapes = event.get("args", {}).get("output_type_shape", [])
    return sum(int(np.prod(shape, dtype=np.int64)) for output in shapes for shape in output.values())


def _converts(op: str, found: Node) -> bool:
    """Whether an executed operator only brings a node's value into another form."""
    return op in _BORDER and found.op not in ("Transpose", "Requantize")


def _converted(quantized: QuantizedGraph, node: Node) -> int:
    """Elements that are converted when this node alone is in float."""
    read = [name for slot, name in enumerate(node.inputs) if name and role(node.op, slot) is Role.ACTIVATION]
    names = dict.fromkeys((*read, *node.outputs))
    return sum(_elements(quantized.graph, name) for name in names if name in quantized.qparams)


def _elements(graph: Graph, name: str) -> int:
    return int(np.prod(graph.shape(name), dtype=np.int64))
