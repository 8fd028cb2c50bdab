"""Int8 weights in an .onnx file, found without onnx: initializers, and the nodes that say what belongs together.

Both of edgekit's forms are known, and what other tools write alike: DequantizeLinear before Conv, Gemm or MatMul, and
the operators QLinearConv, QLinearMatMul and QGemm. Field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from edgekit.delta.weights import Floats, Weights
from edgekit.wire.protobuf import BYTES, VARINT, varints, walk

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5  # of NodeProto
_ATTRIBUTE_NAME, _ATTRIBUTE_INT = 1, 3  # of AttributeProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto
_FLOAT, _INT8, _INT32 = 1, 3, 6
_ITEM_BYTES = {_FLOAT: 4, _INT8: 1, _INT32: 4}
_LAYERS = {"Conv", "Gemm", "MatMul"}


@dataclass(frozen=True)
class _Tensor:
    dims: tuple[int, ...]
    data_type: int
    place: int

    @property
    def floats(self) -> Floats | None:
        return Floats(self.place, prod(self.dims)) if self.data_type == _FLOAT else None


@dataclass(frozen=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, int]

    def input(self, index: int) -> str:
        """Name of an input, "" when it has no such."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class _Layer:
    """Names of what a layer takes."""

    weights: str
    scales: str
    input_scale: str
    bias: str = ""
    bias_scales: str = ""
    axis: int = 0


def onnx_weights(data: bytes) -> dict[str, Weights]:
    """Name of the initializer -> where it is.

    Raises:
        ValueError: The file cannot be walked.
    """
    tensors: dict[str, _Tensor] = {}
    nodes: list[_Node] = []
    for field in walk(data):
        if field.number == _GRAPH and field.kind == BYTES:
            for inner in walk(data, field.begin, field.end):
                if inner.number == _INITIALIZER and inner.kind == BYTES:
                    _add_tensor(tensors, data, inner.begin, inner.end)
                elif inner.number == _NODE and inner.kind == BYTES:
                    nodes.append(_node(data, inner.begin, inner.end))
    found: dict[str, Weights] = {}
    for layer in _layers(nodes):
        tensor = tensors.get(layer.weights)
        if tensor is not None and tensor.data_type == _INT8 and layer.weights not in found:
            found[layer.weights] = _weights(layer, tensor, tensors)
    return found


def _weights(layer: _Layer, tensor: _Tensor, tensors: dict[str, _Tensor]) -> Weights:
    axis = layer.axis if layer.axis < len(tensor.dims) else 0
    rows = tensor.dims[axis] if tensor.dims else 1
    shape = (prod(tensor.dims[:axis]), rows, prod(tensor.dims[axis + 1 :]))
    bias, input_scale = tensors.get(layer.bias), tensors.get(layer.input_scale)
    has_bias = bias is not None and bias.data_type == _INT32 and prod(bias.dims) == rows
    input_floats = input_scale.floats if input_scale else None
    return Weights(
        place=tensor.place,
        shape=shape,
        scales=_fitting(tensors.get(layer.scales), rows),
        input_scale=input_floats.place if input_floats and input_floats.count == 1 else None,
        bias=bias.place if bias is not None and has_bias else None,
        bias_scales=_fitting(tensors.get(layer.bias_scales), rows),
    )


def _fitting(tensor: _Tensor | None, rows: int) -> Floats | None:
    floats = tensor.floats if tensor else None
    return floats if floats and floats.count in (1, rows) else None


def _layers(nodes: list[_Node]) -> Iterator[_Layer]:
    dequantized = {node.outputs[0]: node for node in nodes if node.operator == "DequantizeLinear" and node.outputs}
    for node in nodes:
        if node.operator == "QLinearConv":
            yield _Layer(node.input(3), node.input(4), node.input(1), node.input(8))
        elif node.operator == "QLinearMatMul":
            yield _Layer(node.input(3), node.input(4), node.input(1), axis=1)
        elif node.operator == "QGemm":
            axis = 0 if node.numbers.get("transB") else 1
            yield _Layer(node.input(3), node.input(4), node.input(1), node.input(6), axis=axis)
        elif node.operator in _LAYERS and node.input(1) in dequantized:
            weights = dequantized[node.input(1)]
            source, bias = dequantized.get(node.input(0)), dequantized.get(node.input(2))
            is_transposed = node.operator == "MatMul" or (node.operator == "Gemm" and not node.numbers.get("transB"))
            yield _Layer(
                weights.input(0),
                weights.input(1),
                source.input(1) if source else "",
                bias.input(0) if bias else "",
                bias.input(1) if bias else "",
                axis=weights.numbers.get("axis", 1 if is_transposed else 0),
            )


def _add_tensor(tensors: dict[str, _Tensor], data: bytes, start: int, stop: int) -> None:
    """A tensor whose values lie in the file as raw bytes; others are passed over."""
    dims: list[int] = []
    name, data_type, place, size = "", 0, 0, -1
    for field in walk(data, start, stop):
        if field.number == _DIMS and field.kind == VARINT:
            dims.append(field.value)
        elif field.number == _DIMS and field.kind == BYTES:
            dims.extend(varints(data, field.begin, field.end))
        elif field.number == _DATA_TYPE and field.kind == VARINT:
            data_type = field.value
        elif field.number == _NAME and field.kind == BYTES:
            name = _text(data, field.begin, field.end)
        elif field.number == _RAW_DATA and field.kind == BYTES:
            place, size = field.begin, field.end - field.begin
    if data_type in _ITEM_BYTES and size == _ITEM_BYTES[data_type] * prod(dims):
        tensors[name] = _Tensor(tuple(dims), data_type, place)


def _node(data: bytes, start: int, stop: int) -> _Node:
    inputs: list[str] = []
    outputs: list[str] = []
    operator, numbers = "", dict[str, int]()
    for field in walk(data, start, stop):
        if field.kind != BYTES:
            continue
        if field.number == _INPUT:
            inputs.append(_text(data, field.begin, field.end))
        elif field.number == _OUTPUT:
            outputs.append(_text(data, field.begin, field.end))
        elif field.number == _OPERATOR:
            operator = _text(data, field.begin, field.end)
        elif field.number == _ATTRIBUTE:
            name, number = "", 0
            for inner in walk(data, field.begin, field.end):
                if inner.number == _ATTRIBUTE_NAME and inner.kind == BYTES:
                    name = _text(data, inner.begin, inner.end)
                elif inner.number == _ATTRIBUTE_INT and inner.kind == VARINT:
                    number = inner.value
            numbers[name] = number
    return _Node(operator, tuple(inputs), tuple(outputs), numbers)


def _text(data: bytes, start: int, stop: int) -> str:
    return data[start:stop].decode("utf-8", errors="replace")
