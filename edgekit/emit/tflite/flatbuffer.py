"""Program -> the bytes of a .tflite file (schema version 3).

Constants are copied in one block each and aligned to 16 bytes, as the schema's `force_align` asks: kernels map them
in place. Equal contents share one buffer, equal scales and zero points one vector: a zero point takes 8 bytes in every
channel of every weight and bias, 7 % of a MobileNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.emit.nibbles import pack_nibbles
from edgekit.emit.tflite.program import Operation, Program, Tensor
from edgekit.emit.tflite.versions import minimal_version
from edgekit.types.qparams import Array, QParams

_ALIGNMENT = 16
_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int4": schema.TensorType.INT4,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose contents start at a multiple of 16 bytes of the file."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema's name
        if self.data is not None:
            builder.Prep(_ALIGNMENT, self.data.size)
        offset: int = super().Pack(builder)
        return offset


class _Quantization(schema.QuantizationParametersT):  # type: ignore[misc]
    """Scales and zero points whose vectors are written once for all tensors of a file."""

    def __init__(self, qparams: QParams, vectors: dict[bytes, int]) -> None:
        super().__init__()
        self._vectors = vectors
        self.scale = np.atleast_1d(qparams.scale).astype(np.float32)
        self.zeroPoint = np.atleast_1d(qparams.zero_point).astype(np.int64)
        self.quantizedDimension = qparams.axis or 0

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema's name
        scale, zero_point = self._vector(builder, self.scale), self._vector(builder, self.zeroPoint)
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, zero_point)
        schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
        offset: int = schema.QuantizationParametersEnd(builder)
        return offset

    def _vector(self, builder: flatbuffers.Builder, values: Array) -> int:
        key = values.dtype.str.encode() + values.tobytes()
        if key not in self._vectors:
            self._vectors[key] = builder.CreateNumpyVector(values)
        return self._vectors[key]


def serialize(
    program: Program, *, name: str, inputs: Mapping[str, int], outputs: Mapping[str, int], metadata: Mapping[str, bytes]
) -> bytes:
    """Assemble the file.

    Args:
        program: Its tensors and operations; what the outputs do not need is left out.
        name: Name of the subgraph.
        inputs: Border name -> tensor, in calling order.
        outputs: Border name -> tensor, in returning order.
        metadata: Name -> contents of each metadata entry.
    """
    operations = program.live(tuple(outputs.values()))
    used = dict.fromkeys(inputs.values())
    for operation in operations:
        used.update(dict.fromkeys(index for index in (*operation.inputs, *operation.outputs) if index >= 0))
    index = {old: new for new, old in enumerate(used)}
    buffers, vectors = _Buffers(), dict[bytes, int]()
    model = schema.ModelT()
    model.version = 3
    model.description = "edgekit"
    model.operatorCodes, opcodes = _opcodes(operations, program.tensors)
    model.subgraphs = [
        _subgraph(
            name,
            tensors=[
                _tensor(program.tensors[old], buffers.add(_bytes_of(program.tensors[old])), vectors=vectors)
                for old in used
            ],
            inputs=[index[old] for old in inputs.values()],
            outputs=[index[old] for old in outputs.values()],
            operators=[_operator(op, index, opcode=code) for op, code in zip(operations, opcodes, strict=True)],
        )
    ]
    model.signatureDefs = [_signature(inputs, outputs, index)]
    model.metadata = [_metadata(key, buffers.add(np.frombuffer(text, np.uint8))) for key, text in metadata.items()]
    model.buffers = buffers.tables
    builder = flatbuffers.Builder(buffers.size + 4096 + 512 * len(used))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _bytes_of(tensor: Tensor) -> Array | None:
    """What the buffer of a tensor holds."""
    return pack_nibbles(tensor.data) if tensor.dtype == "int4" and tensor.data is not None else tensor.data


class _Buffers:
    """The buffer list; buffer 0 is the empty one that run-time tensors name."""

    def __init__(self) -> None:
        self.tables = [_Buffer()]
        self.size = 0
        self._known: dict[bytes, int] = {}

    def add(self, data: Array | None) -> int:
        if data is None or data.size == 0:
            return 0
        contents = np.ascontiguousarray(data).tobytes()
        if contents not in self._known:
            table = _Buffer()
            table.data = np.frombuffer(contents, np.uint8)
            self.tables.append(table)
            self.size += len(contents) + 2 * _ALIGNMENT
            self._known[contents] = len(self.tables) - 1
        return self._known[contents]


def _opcodes(
    operations: Sequence[Operation], tensors: Sequence[Tensor]
) -> tuple[list[schema.OperatorCodeT], list[int]]:
    keys = [(operation.code, minimal_version(operation, tensors)) for operation in operations]
    order = {key: position for position, key in enumerate(dict.fromkeys(keys))}
    tables = []
    for code, version in order:
        table = schema.OperatorCodeT()
        table.builtinCode = getattr(schema.BuiltinOperator, code)
        table.deprecatedBuiltinCode = min(table.builtinCode, 127)  # the field that readers before 2.4 look at
        table.version = version
        tables.append(table)
    return tables, [order[key] for key in keys]


def _operator(operation: Operation, index: Mapping[int, int], *, opcode: int) -> schema.OperatorT:
    table = schema.OperatorT()
    table.opcodeIndex = opcode
    table.inputs = np.array([index.get(old, -1) for old in operation.inputs], np.int32)
    table.outputs = np.array([index[old] for old in operation.outputs], np.int32)
    if operation.options is not None:
        table.builtinOptionsType = getattr(schema.BuiltinOptions, type(operation.options).__name__[:-1])
        table.builtinOptions = operation.options
    return table


def _tensor(tensor: Tensor, buffer: int, *, vectors: dict[bytes, int]) -> schema.TensorT:
    table = schema.TensorT()
    table.name = tensor.name
    table.shape = np.array(tensor.shape, np.int32)
    table.type = _TYPES[tensor.dtype]
    table.buffer = buffer
    table.hasRank = True
    table.quantization = _Quantization(tensor.qparams, vectors) if tensor.qparams is not None else None
    return table


def _subgraph(
    name: str,
    *,
    tensors: list[schema.TensorT],
    inputs: list[int],
    outputs: list[int],
    operators: list[schema.OperatorT],
) -> schema.SubGraphT:
    table = schema.SubGraphT()
    table.name = name
    table.tensors, table.operators = tensors, operators
    table.inputs, table.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
    return table


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int], index: Mapping[int, int]) -> schema.SignatureDefT:
    def entries(border: Mapping[str, int]) -> list[schema.TensorMapT]:
        tables = []
        for name, tensor in border.items():
            table = schema.TensorMapT()
            table.name, table.tensorIndex = name, index[tensor]
            tables.append(table)
        return tables

    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = entries(inputs), entries(outputs)
    return signature


def _metadata(name: str, buffer: int) -> schema.MetadataT:
    table = schema.MetadataT()
    table.name, table.buffer = name, buffer
    return table
