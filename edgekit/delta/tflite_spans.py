"""Int8 weights in a .tflite file, found without the schema: constant int8 tensors that an operator applies.

Field numbers are those of tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from edgekit.delta.weights import Floats, Weights
from edgekit.wire import flatbuffer

_OPERATOR_CODES, _SUBGRAPHS, _BUFFERS = 1, 2, 4  # of Model
_TENSORS, _OPERATORS = 0, 3  # of SubGraph
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION = 0, 1, 2, 3, 4  # of Tensor
_SCALE, _DIMENSION = 2, 6  # of QuantizationParameters
_INPUTS = 1  # of Operator
_DATA, _OFFSET = 0, 1  # of Buffer
_INT32, _INT8 = 2, 9
_MOST_TENSORS = 100_000


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: int
    place: int
    size: int
    scales: Floats | None
    dimension: int


def tflite_weights(data: bytes) -> dict[str, Weights]:
    """Name of the tensor -> where it is; only of the first subgraph.

    Raises:
        ValueError: The file cannot be walked.
    """
    model = flatbuffer.root(data)
    subgraphs, count = flatbuffer.vector(data, model, _SUBGRAPHS)
    if not count:
        return {}
    graph = flatbuffer.pointed(data, subgraphs)
    tensors = [_tensor(data, model, place) for place in _tables(data, graph, _TENSORS)]
    found: dict[str, Weights] = {}
    for operator in _tables(data, graph, _OPERATORS):
        start, count = flatbuffer.vector(data, operator, _INPUTS)
        if not 2 <= count <= 8:
            continue
        inputs = [flatbuffer.uint32(data, start + 4 * number) for number in range(min(count, 3))]
        taken = [tensors[number] if number < len(tensors) else None for number in inputs]
        source, weights, bias = (*taken, None)[:3]
        if source and weights and weights.type == _INT8 and weights.size and weights.size == prod(weights.shape):
            found.setdefault(weights.name, _weights(source, weights, bias))
    return found


def _weights(source: _Tensor, weights: _Tensor, bias: _Tensor | None) -> Weights:
    axis = weights.dimension if weights.dimension < len(weights.shape) else 0
    rows = weights.shape[axis]
    has_bias = bias is not None and bias.type == _INT32 and bias.size == 4 * rows
    return Weights(
        place=weights.place,
        shape=(prod(weights.shape[:axis]), rows, prod(weights.shape[axis + 1 :])),
        scales=_fitting(weights.scales, rows),
        input_scale=source.scales.place if source.scales and source.scales.count == 1 else None,
        bias=bias.place if bias and has_bias else None,
        bias_scales=_fitting(bias.scales, rows) if bias and has_bias else None,
    )


def _fitting(scales: Floats | None, rows: int) -> Floats | None:
    return scales if scales and scales.count in (1, rows) else None


def _tables(data: bytes, table: int, number: int) -> list[int]:
    """Places of the tables of a vector."""
    start, count = flatbuffer.vector(data, table, number)
    if count > _MOST_TENSORS:
        raise ValueError(f"it has {count} tensors or operators")
    return [flatbuffer.pointed(data, start + 4 * index) for index in range(count)]


def _tensor(data: bytes, model: int, table: int) -> _Tensor:
    dims, rank = flatbuffer.vector(data, table, _SHAPE)
    if rank > 8:
        raise ValueError(f"a tensor of {rank} dimensions")
    shape = tuple(flatbuffer.uint32(data, dims + 4 * index) for index in range(rank))
    kind = flatbuffer.field(data, table, _TYPE)
    where = flatbuffer.field(data, table, _BUFFER)
    place, size = _buffer(data, model, flatbuffer.uint32(data, where) if where else 0)
    scales, dimension = None, 0
    pointer = flatbuffer.field(data, table, _QUANTIZATION)
    if pointer:
        quantization = flatbuffer.pointed(data, pointer)
        start, count = flatbuffer.vector(data, quantization, _SCALE)
        if count and start + 4 * count <= len(data):
            scales = Floats(start, count)
        at = flatbuffer.field(data, quantization, _DIMENSION)
        dimension = flatbuffer.uint32(data, at) if at else 0
    name = flatbuffer.content(data, table, _NAME).decode("utf-8", errors="replace")
    return _Tensor(name, shape, data[kind] if kind else 0, place, size, scales, dimension)


def _buffer(data: bytes, model: int, index: int) -> tuple[int, int]:
    """Place and size of a buffer's bytes; (0, 0) of an empty one, and of one that lies behind the flatbuffer."""
    buffers, count = flatbuffer.vector(data, model, _BUFFERS)
    if index >= count:
        raise ValueError(f"a tensor in buffer {index} of {count}")
    start, size = flatbuffer.vector(data, flatbuffer.pointed(data, buffers + 4 * index), _DATA)
    if start + size > len(data):
        raise ValueError(f"{size} bytes at byte {start} of {len(data)}")
    return start, size
