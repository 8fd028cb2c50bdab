"""ONNX tensors as numpy arrays; external data is memory-mapped, so weights are read only when somebody needs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.errors import ModelLoadError
from edgekit.types.qparams import Array

MAPPED_TYPES = frozenset(
    {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.INT32,
        onnx.TensorProto.INT64,
        onnx.TensorProto.BOOL,
    }
)


class TensorReader:
    """Turns TensorProtos of one file into arrays, mapping each external file once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._maps: dict[Path, Array] = {}

    def read(self, tensor: onnx.TensorProto) -> Array:
        """The array of a tensor; a read-only view of the file when its data is external.

        Raises:
            ModelLoadError: External data is missing, too short, or outside the model's folder.
        """
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return np.asarray(numpy_helper.to_array(tensor))
        entries = {entry.key: entry.value for entry in tensor.external_data}
        bytes_view = self._map(entries.get("location", ""), tensor.name)
        offset = int(entries.get("offset", 0))
        raw = bytes_view[offset : offset + int(entries.get("length", len(bytes_view) - offset))]
        if tensor.data_type not in MAPPED_TYPES:
            inline = onnx.TensorProto()
            inline.CopyFrom(tensor)
            inline.ClearField("external_data")
            inline.data_location = onnx.TensorProto.DEFAULT
            inline.raw_data = raw.tobytes()
            return np.asarray(numpy_helper.to_array(inline))
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        shape = tuple(tensor.dims)
        if raw.size != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
            raise ModelLoadError(
                f"weight {tensor.name} needs {int(np.prod(shape)) * dtype.itemsize} bytes, "
                f"its external data holds {raw.size}",
                hint="copy the model and its data file together again",
            )
        if offset % dtype.itemsize:
            raw = raw.copy()
        return raw.view(dtype).reshape(shape)

    def _map(self, location: str, tensor: str) -> Array:
        path = (self._folder / location).resolve()
        if not location or not path.is_relative_to(self._folder):
            raise ModelLoadError(
                f"weight {tensor} points outside the model's folder: {location or '(nowhere)'}",
                hint="keep external data beside the .onnx file",
            )
        if path not in self._maps:
            try:
                self._maps[path] = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
            except OSError as error:
                raise ModelLoadError(
                    f"external data {location} of weight {tensor} cannot be read: {error.strerror or error}",
                    hint="keep external data beside the .onnx file",
                ) from error
        return self._maps[path]


def attribute_values(node: onnx.NodeProto, reader: TensorReader) -> dict[str, object]:
    """Attributes of a node as int, float, str, tuples of them, arrays, or GraphProtos."""
    found: dict[str, object] = {}
    for attribute in node.attribute:
        match attribute.type:
            case onnx.AttributeProto.INT:
                found[attribute.name] = int(attribute.i)
            case onnx.AttributeProto.FLOAT:
                found[attribute.name] = float(attribute.f)
            case onnx.AttributeProto.STRING:
                found[attribute.name] = attribute.s.decode("utf-8", "replace")
            case onnx.AttributeProto.INTS:
                found[attribute.name] = tuple(attribute.ints)
            case onnx.AttributeProto.FLOATS:
                found[attribute.name] = tuple(attribute.floats)
            case onnx.AttributeProto.STRINGS:
                found[attribute.name] = tuple(text.decode("utf-8", "replace") for text in attribute.strings)
            case onnx.AttributeProto.TENSOR:
                found[attribute.name] = reader.read(attribute.t)
            case onnx.AttributeProto.GRAPH:
                found[attribute.name] = attribute.g
    return found


def constant_array(node: onnx.NodeProto, reader: TensorReader) -> Array | None:
    """The array of a Constant node, in any of the forms the operator allows; None for strings and sparse tensors."""
    attributes: Mapping[str, object] = attribute_values(node, reader)
    for name, value in attributes.items():
        match name:
            case "value":
                return value if isinstance(value, np.ndarray) else None
            case "value_float" | "value_floats":
                return np.asarray(value, np.float32)
            case "value_int" | "value_ints":
                return np.asarray(value, np.int64)
    return None
