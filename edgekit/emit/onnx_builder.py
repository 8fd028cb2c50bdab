"""Assembles an ONNX file: nodes, initializers, names, metadata, and an atomic write."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.emit.nibbles import pack_nibbles
from edgekit.errors import StorageError
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array, QParams

OPSET = 20
"""First opset with Gelu; the default domain's Q/DQ are unchanged from 19."""
INT4_OPSET = 21
IR_VERSION = 10
PROTOBUF_LIMIT_BYTES = 1_900_000_000
MODULE_KEY = "edgekit.module"
"""metadata_props key of each node that carries its torch module path."""

ELEMENT_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


class OnnxBuilder:
    """Collects the parts of one model file; `save` writes it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._arguments: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._fresh = 0
        self._domains = {"": OPSET}

    def fresh(self, stem: str) -> str:
        """A name no one else has."""
        self._fresh += 1
        return f"{stem}__{self._fresh}"

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        source: Node | None = None,
        domain: str = "",
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one node; `source` lends its name and torch module path."""
        if domain:
            self._domains[domain] = 1
        name = self.fresh(f"{source.name}_{op}" if source and source.op != op else source.name if source else op)
        made = helper.make_node(op, list(inputs), list(outputs), name=name, domain=domain, **(attributes or {}))
        if source is not None and source.module:
            made.metadata_props.add(key=MODULE_KEY, value=source.module)
        self._nodes.append(made)

    def initializer(self, name: str, array: Array) -> str:
        """Store a named constant; returns its name."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def packed(self, name: str, integers: Array) -> str:
        """Store integers of [-8, 7] as INT4, two in a byte, the first in its low half; returns the name.

        The type came with opset 21, which the file then asks for.
        """
        if name not in self._initializers:
            self._domains[""] = max(self._domains[""], INT4_OPSET)
            contents = pack_nibbles(integers).tobytes()
            self._initializers[name] = helper.make_tensor(name, TensorProto.INT4, integers.shape, contents, raw=True)
        return name

    def argument(self, array: Array, stem: str = "arg") -> str:
        """Store a small unnamed constant (shape, pads, scale), once per distinct content."""
        array = np.asarray(array)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._arguments:
            self._arguments[key] = self.initializer(self.fresh(stem), array)
        return self._arguments[key]

    def ints(self, values: Sequence[int]) -> str:
        """An int64 vector argument."""
        return self.argument(np.array(values, np.int64))

    def border(self, name: str, dtype: str) -> onnx.ValueInfoProto:
        """Type and shape of a graph input or output, its batch axis symbolic."""
        shape: list[int | str] = list(self.graph.values[name].shape)
        if name in self.graph.batch_axes:
            shape[self.graph.batch_axes[name]] = "batch"
        return helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], shape)

    def save(
        self,
        path: Path,
        *,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
        integers: Mapping[str, QParams] | None = None,
    ) -> None:
        """Write the file atomically; weights go to `<name>.data` beside it when it would pass 1.9 GB.

        Args:
            path: Target; its folder exists.
            inputs: Graph inputs.
            outputs: Graph outputs.
            metadata: Key-value strings for the file's metadata.
            integers: QParams of border tensors that are stored as integers.

        Raises:
            StorageError: The disk is full or the folder not writable.
        """
        proto = helper.make_graph(
            self._nodes, self.graph.name, list(inputs), list(outputs), list(self._initializers.values())
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in self._domains.items()]
        model = helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edgekit")
        border = {
            name: {"scale": float(params.scale), "zero_point": int(params.zero_point)}
            for name, params in (integers or {}).items()
        }
        helper.set_model_props(model, dict(sorted({**metadata, "edgekit.border": json.dumps(border)}.items())))
        try:
            _write(model, path)
        except OSError as error:
            raise StorageError(
                f"cannot write {path.name}: {error.strerror or error}",
                hint="free some space, or choose another folder with --out",
            ) from error


def _write(model: onnx.ModelProto, path: Path) -> None:
    size_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size_bytes > PROTOBUF_LIMIT_BYTES:
        side = path.with_name(path.name + ".data")
        side.unlink(missing_ok=True)
        onnx.save_model(model, path, save_as_external_data=True, location=side.name, size_threshold=1024)
        side.chmod(0o644)
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(model.SerializeToString(deterministic=True))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
