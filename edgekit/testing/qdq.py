"""Quantized ONNX files as other tools write them, for tests of the import: ONNX Runtime's, and small ones by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgekit.emit.exporter import float_artifact
from edgekit.load.trace import trace
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS
from edgekit.types.graph import Graph
from edgekit.types.qparams import Array

TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


def float_net(name: str, folder: Path) -> tuple[Graph, Path]:
    """A net of the table with the same weights each time, simplified, and its float file."""
    net = NETS[name]
    source, target = folder / "traced.onnx", folder / "float.onnx"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = net.make().eval()
    trace(module, net.inputs, source)
    graph = simplify(source, name=name).graph
    float_artifact(graph, target, metadata={})
    return graph, target


def feeds(name: str, count: int, *, seed: int) -> list[dict[str, Array]]:
    """Random inputs of a net of the table."""
    rng, net = np.random.default_rng(seed), NETS[name]
    return [
        {
            spec.name: rng.standard_normal(spec.shape).astype(spec.dtype)
            if spec.dtype.startswith("float")
            else rng.integers(0, net.vocabulary, spec.shape).astype(spec.dtype)
            for spec in net.inputs
        }
        for _ in range(count)
    ]


def quantize_with_ort(
    float_file: Path, target: Path, samples: Sequence[Mapping[str, Array]], *, types: str, per_channel: bool
) -> None:
    """Write what `quantize_static` makes of a float file; `types` is that of activations and weights: "uint8 int8"."""
    activations, weights = (TYPES[name] for name in types.split())
    quantize_static(
        str(float_file),
        str(target),
        _Reader(samples),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=activations,
        weight_type=weights,
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[Mapping[str, Array]]) -> None:
        self._left: Iterator[Mapping[str, Array]] = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._left, None)
        return None if sample is None else dict(sample)


def qdq_model(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    *,
    shape: Sequence[int] = (1, 3, 8, 8),
    result: Sequence[int] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    """A model from `x` (float32, `shape`) to `y`, with the constants as initializers."""
    graph = helper.make_graph(
        list(nodes),
        "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None if result is None else list(result))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="a tool"
    )


def pair(source: str, result: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear from `source` to `result`."""
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{result}.i"]),
        helper.make_node("DequantizeLinear", [f"{result}.i", scale, zero], [result]),
    ]
