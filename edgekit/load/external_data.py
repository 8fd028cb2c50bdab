"""Weights beside an ONNX file: every place they may be named, and proof that each lies in the model's own folder."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx

from edgekit.errors import ModelLoadError

_PACKED = tuple(value for name, value in onnx.TensorProto.DataType.items() if name.endswith(("INT4", "INT2", "E2M1")))
_DRIVE = re.compile(r"[A-Za-z]:|\\\\|/")


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node: of the graph, of the bodies of If, Loop and Scan, and of local functions."""
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def external_tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Every tensor whose values are in another file: initializers, attributes, sparse ones, at any depth."""
    found = [*_stored(model.graph)]
    for node in all_nodes(model):
        for attribute in node.attribute:
            found += [attribute.t, *attribute.tensors]
            found += [t for s in (attribute.sparse_tensor, *attribute.sparse_tensors) for t in (s.values, s.indices)]
            for graph in (attribute.g, *attribute.graphs):
                found += _stored(graph)
    return [tensor for tensor in found if tensor.data_location == onnx.TensorProto.EXTERNAL]


def check_external(path: Path, tensors: Iterable[onnx.TensorProto]) -> dict[str, Path]:
    """Check where external data lies.

    Args:
        path: The .onnx file.
        tensors: From `external_tensors`.

    Returns:
        location as written in the file -> existing regular file inside the model's folder.

    Raises:
        ModelLoadError: A location is absolute, leaves the folder (by `..` or a symbolic link), is absent, or is too
            small for what the tensor claims.
    """
    folder = path.parent.resolve()
    found: dict[str, Path] = {}
    for tensor in tensors:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in found:
            found[location] = _resolve(path, folder, location)
        _check_range(path, tensor, entries, found[location])
    return found


def place_beside(tensors: Iterable[onnx.TensorProto], files: dict[str, Path], target: Path) -> None:
    """Give a model that is about to be written to `target` its external files: linked where possible, else copied.

    The locations in `tensors` are changed to the new names, which begin with the name of `target`.
    """
    names = {location: f"{target.name}.data{index or ''}" for index, location in enumerate(files)}
    for location, file in files.items():
        place = target.with_name(names[location])
        place.unlink(missing_ok=True)
        try:
            os.link(file, place)
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, place)
    for tensor in tensors:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = names[entry.value]


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _stored(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _resolve(path: Path, folder: Path, location: str) -> Path:
    if not location:
        raise ModelLoadError(f"{path.name} has a tensor in an external file without a name")
    if _DRIVE.match(location) or ".." in re.split(r"[/\\]", location):
        raise ModelLoadError(
            f"{path.name} is refused: it wants weights from outside its folder, {location!r}",
            hint="save the model again with its data file beside it",
        )
    file = (folder / location).resolve()
    if not file.is_relative_to(folder):
        raise ModelLoadError(
            f"{path.name} is refused: its data file {location!r} is a link to {file}, outside the model's folder",
            hint="put the data file itself beside the model",
        )
    if not file.is_file():
        raise ModelLoadError(
            f"{path.name} keeps its weights in {location!r}, which is not beside it",
            hint=f"copy that file to {folder}",
        )
    return file


def _check_range(path: Path, tensor: onnx.TensorProto, entries: dict[str, str], file: Path) -> None:
    """Offset and length of one tensor, against its shape and the size of the file."""
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or 0)
        needed = math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        needed = 0 if tensor.data_type in _PACKED else needed
    except (ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"{path.name}: tensor '{tensor.name}' is described wrongly: {error}") from error
    size = file.stat().st_size
    is_wrong = offset < 0 or length < 0 or min(tensor.dims, default=1) < 0 or (length and length < needed)
    if is_wrong or offset + max(length, needed) > size:
        raise ModelLoadError(
            f"{path.name}: tensor '{tensor.name}' needs {needed} bytes, declared are {length} at {offset} of "
            f"{file.name}, which has {size}",
            hint="the data file is cut off or belongs to another model; copy it again",
        )
