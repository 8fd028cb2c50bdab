"""What ONNX Runtime executes: read from the graph it saves after its own optimisation on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime

from edgekit.check.fusion import Executed, Kind, summarize_fusion
from edgekit.errors import ModelLoadError
from edgekit.runtime.ort import session_options
from edgekit.types.graph import QuantizedGraph
from edgekit.types.report import Fusion

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_INTEGER = frozenset({"ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QGemm"})
_MOVES = frozenset(
    {
        "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Split", "Slice", "Gather", "Pad",
        "Expand", "Resize", "Identity", "DepthToSpace", "SpaceToDepth", "MaxPool", "NhwcMaxPool", "ReduceMax", "Clip",
        "Max", "Min",
    }
)  # fmt: skip
"""Operators whose result has the type of their first input, and which run on bytes as well as on floats."""
_QGEMM_SCALE = 7
"""Input of QGemm that holds the scale of its result."""
_BYTES = frozenset({onnx.TensorProto.INT8, onnx.TensorProto.UINT8})
_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


def read_onnx(path: Path, quantized: QuantizedGraph) -> Fusion:
    """Load the file with every optimisation on and count what is left.

    Args:
        path: An .onnx file.
        quantized: The graph it was made from.

    Raises:
        ModelLoadError: ONNX Runtime cannot load the file.
    """
    return summarize_fusion(quantized, list_executed(optimized_graph(path)))


def optimized_graph(path: Path) -> onnx.GraphProto:
    """The graph ONNX Runtime executes on this machine, weights not loaded.

    Raises:
        ModelLoadError: ONNX Runtime cannot load the file.
    """
    options = session_options()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        target = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(target)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        try:
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own classes, none of them public API
            raise ModelLoadError(f"ONNX Runtime cannot load {path.name}: {error}") from error
        return onnx.load(target, load_external_data=False).graph


def list_executed(graph: onnx.GraphProto) -> list[Executed]:
    """Every node with its kind; element types are followed through the graph, as the saved file does not hold them."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    types.update({value.name: value.type.tensor_type.elem_type for value in graph.input})
    executed: list[Executed] = []
    for node in graph.node:
        kind, result = _classify(node, types)
        types.update(dict.fromkeys(node.output, result))
        executed.append(Executed(node.op_type, kind, (*node.output, node.name)))
    return executed


def _classify(node: onnx.NodeProto, types: dict[str, int]) -> tuple[Kind, int]:
    """Kind of the node and element type of its results."""
    source = types.get(node.input[0], onnx.TensorProto.UNDEFINED) if node.input else onnx.TensorProto.UNDEFINED
    if node.op_type in _CONVERSIONS:
        quantizes = node.op_type != "DequantizeLinear"
        zero = types.get(node.input[2], onnx.TensorProto.UINT8) if len(node.input) > 2 else onnx.TensorProto.UINT8
        return "conversion", zero if quantizes else onnx.TensorProto.FLOAT
    if node.op_type in _INTEGER or node.op_type.startswith(("QLinear", "QAttention", "QEmbed")):
        plain = node.op_type == "QGemm" and len(node.input) <= _QGEMM_SCALE  # no scale to round its result by
        returns_floats = plain or node.op_type in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")
        return "int8", onnx.TensorProto.FLOAT if returns_floats else onnx.TensorProto.UINT8
    if node.op_type in _MOVES:
        return ("int8" if source in _BYTES else "float" if source in _FLOATS else "index"), source
    if node.op_type in ("Shape", "ArgMax"):
        return ("int8" if source in _BYTES and node.op_type == "ArgMax" else "index"), onnx.TensorProto.INT64
    if node.op_type == "Cast":
        target = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
        return ("float" if target in _FLOATS else "index"), target
    if any(types.get(name) in _FLOATS for name in node.input):
        return "float", onnx.TensorProto.FLOAT
    return "index", source
