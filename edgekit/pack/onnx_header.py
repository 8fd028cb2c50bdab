"""What an .onnx file says about itself beside its graph, read without onnx and without loading the weights.

The fields of ModelProto are walked, and those that are long are passed over. The file may come from anywhere: every
length is held against the file's size. Field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError
from edgekit.wire.protobuf import BYTES, VARINT, Field, walk

_IR_VERSION, _OPSET_IMPORT, _METADATA = 1, 8, 14  # of ModelProto
_DOMAIN, _VERSION = 1, 2  # of OperatorSetIdProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_LONGEST_FIELD = 2**22
"""Bytes of a field that is looked into: metadata of many inputs has some kilobytes."""


@dataclass(frozen=True)
class OnnxHeader:
    """The header.

    Attributes:
        ir_version: Version of the file format.
        opset: Version of the default operator set.
        metadata: Text by key.
    """

    ir_version: int
    opset: int
    metadata: Mapping[str, str]


def read_header(path: Path) -> OnnxHeader:
    """Read it.

    Raises:
        InputError: The file cannot be read, or is no ONNX model.
    """
    ir_version, opset, metadata = 0, 0, dict[str, str]()
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for field in walk(data):
                if field.number == _IR_VERSION and field.kind == VARINT:
                    ir_version = field.value
                elif field.number == _OPSET_IMPORT and field.kind == BYTES:
                    entry = _entry(data, field)
                    if not entry.get(_DOMAIN):
                        opset = max(opset, _whole(entry.get(_VERSION)))
                elif field.number == _METADATA and field.kind == BYTES:
                    entry = _entry(data, field)
                    metadata[_text(entry.get(_KEY))] = _text(entry.get(_VALUE))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # mmap's too: an empty file
        raise InputError(f"{path.name} is no intact ONNX file: {error}") from error
    if not ir_version or not opset:
        raise InputError(f"{path.name} is no ONNX file: it has no version or no operator set")
    return OnnxHeader(ir_version, opset, metadata)


def _entry(data: mmap.mmap, field: Field) -> dict[int, int | bytes]:
    """Number and value of the fields of a small message; those that are long are left out."""
    return {
        inner.number: inner.value if inner.kind == VARINT else data[inner.begin : inner.end]
        for inner in walk(data, field.begin, field.end)
        if inner.kind in (VARINT, BYTES) and inner.end - inner.begin <= _LONGEST_FIELD
    }


def _whole(value: int | bytes | None) -> int:
    if not isinstance(value, int):
        raise ValueError("a version that is no number")
    return value


def _text(value: int | bytes | None) -> str:
    if not isinstance(value, bytes):
        raise ValueError("metadata that is no text")
    return value.decode("utf-8")
