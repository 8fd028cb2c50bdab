"""QuantizedGraph -> a .tflite file: lower every node, set the border, write once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.emit.tflite.flatbuffer import serialize
from edgekit.emit.tflite.layout import Permutation, channels_last, identity, natural_layouts, stored_shape
from edgekit.emit.tflite.lowering import Lowering, Stored
from edgekit.emit.tflite.rows import ROWS
from edgekit.emit.tflite.support import unsupported
from edgekit.errors import EmitError, StorageError, UnsupportedOpError
from edgekit.types.graph import QuantizedGraph
from edgekit.types.spec import TensorSpec

METADATA_NAME = "edgekit"


@dataclass(frozen=True)
class Border:
    """The inputs and outputs of a written file, in the model's axis order, with how the file stores them."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def write(
    quantized: QuantizedGraph, path: Path, *, io: str = "float", metadata: Mapping[str, str] | None = None
) -> Border:
    """Write the graph as a .tflite file: complete or not at all.

    Args:
        quantized: The graph and its table. With an empty table the file is float.
        path: File to write; replaced when it exists.
        io: "float" keeps float32 at the border (QUANTIZE and DEQUANTIZE inside), "int8" the table's integers.
        metadata: Text kept in the file's "edgekit" metadata entry, beside the border.

    Returns:
        What the file takes and gives.

    Raises:
        UnsupportedOpError: A node has no exact translation; nothing was written.
        EmitError: `io` is unknown, or the table is incomplete.
        StorageError: The folder cannot be written.
    """
    contents, border = translate(quantized, io=io, metadata=metadata or {})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path} ({len(contents)} bytes): {error.strerror or error}",
            hint="free some space or choose another folder",
        ) from error
    return border


def translate(quantized: QuantizedGraph, *, io: str, metadata: Mapping[str, str]) -> tuple[bytes, Border]:
    """The bytes of the file and its border; see `write`."""
    if io not in ("float", "int8"):
        raise EmitError(f"io is '{io}'", hint='use io="float" or io="int8"')
    found = unsupported(quantized.graph)
    if found:
        raise UnsupportedOpError(found)
    lowering = Lowering(quantized)
    inputs = {name: _input(lowering, name, layout, io) for name, layout in natural_layouts(quantized.graph).items()}
    for node in quantized.graph.nodes:
        ROWS[node.op].emit(lowering, node)
    outputs = _outputs(lowering, io, taken=set(inputs.values()))
    border = Border(
        tuple(_spec(lowering, name, inputs[name], lowering.stored[name].permutation) for name in inputs),
        tuple(_spec(lowering, name, tensor, permutation) for name, (tensor, permutation) in outputs.items()),
    )
    text = json.dumps(_described(lowering, border, metadata), separators=(",", ":"))
    contents = serialize(
        lowering.program,
        name=quantized.graph.name,
        inputs=inputs,
        outputs={name: tensor for name, (tensor, _) in outputs.items()},
        metadata={METADATA_NAME: text.encode()},
    )
    return contents, border


def _input(lowering: Lowering, name: str, permutation: Permutation, io: str) -> int:
    """Create an input tensor and what the nodes read of it."""
    graph = lowering.graph
    shape, dtype = stored_shape(graph.shape(name), permutation), graph.dtype(name)
    qparams = lowering.quantized.qparams.get(name) if dtype == "float32" else None
    if qparams is None:
        border = inner = lowering.program.tensor(name, shape, dtype=dtype)
    elif io == "int8":
        border = inner = lowering.program.tensor(name, shape, dtype=qparams.dtype, qparams=qparams)
    else:
        border = lowering.program.tensor(name, shape, dtype=dtype)
        inner = lowering.quantized_as(border, qparams)
        lowering.program.rename(inner, f"{name}/{qparams.dtype}")
    lowering.stored[name] = Stored(inner, permutation)
    return border


def _outputs(lowering: Lowering, io: str, *, taken: set[int]) -> dict[str, tuple[int, Permutation]]:
    """Output name -> (its own tensor, permutation): the model's order or channels-last."""
    results: dict[str, tuple[int, Permutation]] = {}
    for name in lowering.graph.outputs:
        shape = lowering.graph.shape(name)
        stored, permutation = lowering.stored[name], lowering.stored[name].permutation
        tensor = stored.tensor
        if permutation not in (identity(len(shape)), channels_last(len(shape)) if len(shape) in (3, 4) else None):
            permutation = identity(len(shape))
            tensor = lowering.permuted(stored, permutation, shape=shape)
        if lowering.program.tensors[tensor].data is not None:
            tensor = _written(lowering, tensor, io)
        elif io == "float" and lowering.program.tensors[tensor].qparams is not None:
            inner, tensor = tensor, lowering.dequantized(tensor)
            if lowering.program.tensors[inner].name == name:
                lowering.program.rename(inner, f"{name}/int8")
        if tensor in taken:
            tensor = _copied(lowering, tensor)
        taken.add(tensor)
        lowering.program.rename(tensor, name)
        results[name] = (tensor, permutation)
    return results


def _written(lowering: Lowering, tensor: int, io: str) -> int:
    """A run-time tensor with the contents of a constant: an output that depends on no input.

    Runtimes want outputs that an operator computes, and XNNPACK never runs a DEQUANTIZE of a constant: it unpacks it
    for the operators that read it. So the reals of a float border are computed here.
    """
    constant = lowering.program.tensors[tensor]
    if io == "float" and constant.qparams is not None and constant.data is not None:
        tensor = lowering.array(constant.qparams.dequantize(constant.data))
    return _copied(lowering, tensor)


def _copied(lowering: Lowering, tensor: int) -> int:
    """A tensor of its own for an output that is also an input, or two outputs: runtimes want them distinct."""
    shape = lowering.shape_of(tensor)
    return lowering.apply("RESHAPE", [tensor, lowering.integers(shape)], shape=shape)


def _spec(lowering: Lowering, name: str, tensor: int, permutation: Permutation) -> TensorSpec:
    stored = lowering.program.tensors[tensor]
    qparams = stored.qparams
    return TensorSpec(
        name,
        lowering.graph.shape(name),
        stored.dtype,
        permutation=None if permutation == identity(len(permutation)) else permutation,
        scale=None if qparams is None else float(qparams.scale),
        zero_point=None if qparams is None else int(qparams.zero_point),
    )


def _described(lowering: Lowering, border: Border, metadata: Mapping[str, str]) -> dict[str, object]:
    """What the metadata entry says: the border, where inner values are found, and the given text."""
    tensors = lowering.program.tensors
    values = {
        name: {"tensor": tensors[stored.tensor].name, "permutation": stored.permutation}
        for name, stored in lowering.stored.items()
        if stored.features is None
    }
    return {
        "inputs": _entries(border.inputs),
        "outputs": _entries(border.outputs),
        "values": {
            name: place
            for name, place in values.items()
            if place["tensor"] != name or place["permutation"] != identity(len(lowering.graph.shape(name)))
        },
        "metadata": dict(metadata),
    }


def _entries(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
    return [
        {
            "name": spec.name,
            "shape": spec.shape,
            "dtype": spec.dtype,
            "permutation": spec.permutation or identity(len(spec.shape)),
        }
        for spec in specs
    ]
