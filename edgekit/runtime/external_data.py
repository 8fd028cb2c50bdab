"""Where the weights of an .onnx file lie, when they lie elsewhere: told without onnx, and without loading them.

A tensor of an ONNX file may say "my bytes are in that file". onnxruntime before 1.24 opens whatever file is named, one
outside of the model's folder too, and even addresses in its own memory: a model could have any file of the machine as
its weights, and give it out as its answers. So the names are held against the files that belong to the model first.

The fields of onnx/onnx.proto that lead to tensors are walked; what no protobuf reader could mistake for something else
is passed over, and what cannot be walked is refused.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from edgekit.errors import MalformedError
from edgekit.types.manifest import FILE_PATH
from edgekit.wire.protobuf import BYTES, walk

_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "tensor": {13: "entry"},
}
"""Message -> number of a field -> the message in it, as far as tensors lie below."""
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_DEEPEST = 100
"""Levels that protobuf itself reads."""
_LONGEST_NAME = 1024
_MOST_IN_ENTRY = 8
_MOST_FIELDS = 2_000_000
"""Some seconds' worth. A model of a thousand layers has some hundred thousand."""


def check_external_data(folder: Path, model: str, files: Collection[str]) -> None:
    """Do nothing where a model's weights lie in the file itself, or in others that belong to it.

    Args:
        folder: Holds the files.
        model: Path of the .onnx file in it.
        files: Paths of all files that belong to the model.

    Raises:
        MalformedError: Some tensor's bytes would be read from elsewhere, or the file cannot be walked.
        OSError: It cannot be read.
    """
    try:
        with (folder / model).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for location in _locations(data):
                beside = (PurePosixPath(model).parent / location).as_posix()
                if not FILE_PATH.fullmatch(location) or beside not in files:
                    raise MalformedError(f"{model} has weights in {location[:80]!r}, which is none of its files")
    except ValueError as error:
        raise MalformedError(f"{model} is no intact ONNX file: {error}") from error


def _locations(data: mmap.mmap) -> Iterator[str]:
    """Every file that a tensor names, whatever graph it lies in; depth first, so that little is held at a time.

    Raises:
        ValueError: It cannot be walked, or has more fields than any model.
    """
    open_messages = [("model", walk(data))]
    seen = 0
    while open_messages:
        kind, fields = open_messages[-1]
        for field in fields:
            seen += 1
            if seen > _MOST_FIELDS:
                raise ValueError(f"it has more than {_MOST_FIELDS} fields")
            inner = _INSIDE[kind].get(field.number) if field.kind == BYTES else None
            if inner == "entry":
                yield from _location(data, field.begin, field.end)
            elif inner:
                if len(open_messages) > _DEEPEST:
                    raise ValueError("it is nested too deep")
                open_messages.append((inner, walk(data, field.begin, field.end)))
                break
        else:
            open_messages.pop()


def _location(data: mmap.mmap, start: int, stop: int) -> Iterator[str]:
    """The file that one entry of a tensor's external data names; of a field that comes twice, each is taken."""
    keys: list[bytes] = []
    values: list[bytes] = []
    for count, field in enumerate(walk(data, start, stop)):
        if count > _MOST_IN_ENTRY:
            raise ValueError("an entry of external data that says too much")
        if field.number in (_KEY, _VALUE) and field.kind == BYTES:
            text = data[field.begin : min(field.end, field.begin + _LONGEST_NAME)]
            (keys if field.number == _KEY else values).append(text)
    if b"location" in keys:
        yield from (value.decode("utf-8", errors="replace") for value in values or [b""])
