"""What an .onnx file says about itself beside its graph, read without onnx and without loading the weights.

The fields of ModelProto are walked, and those that are long are passed over. The file may come from anywhere: every
length is held against the file's size. Field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from edgekit.errors import InputError

_IR_VERSION, _OPSET_IMPORT, _METADATA = 1, 8, 14  # of ModelProto
_DOMAIN, _VERSION = 1, 2  # of OperatorSetIdProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
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
        with path.open("rb") as stream:
            for number, value in _fields(stream, path.stat().st_size):
                if number == _IR_VERSION and isinstance(value, int):
                    ir_version = value
                elif number == _OPSET_IMPORT and isinstance(value, bytes):
                    entry = dict(_inner(value))
                    if not entry.get(_DOMAIN):
                        opset = max(opset, _whole(entry.get(_VERSION)))
                elif number == _METADATA and isinstance(value, bytes):
                    entry = dict(_inner(value))
                    metadata[_text(entry.get(_KEY))] = _text(entry.get(_VALUE))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path.name} is no intact ONNX file: {error}") from error
    if not ir_version or not opset:
        raise InputError(f"{path.name} is no ONNX file: it has no version or no operator set")
    return OnnxHeader(ir_version, opset, metadata)


def _inner(data: bytes) -> Iterator[tuple[int, int | bytes | None]]:
    yield from _fields(BytesIO(data), len(data))


def _fields(stream: BinaryIO, size: int) -> Iterator[tuple[int, int | bytes | None]]:
    """Number and value of each field; a long one, or one of another kind, is passed over as None.

    Raises:
        ValueError: A field leads out of the file.
    """
    while stream.tell() < size:
        tag = _varint(stream)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            yield number, _varint(stream)
            continue
        if kind not in (_BYTES, _FIXED64, _FIXED32):
            raise ValueError(f"a field of kind {kind}")
        length = _varint(stream) if kind == _BYTES else 8 if kind == _FIXED64 else 4
        if stream.tell() + length > size:
            raise ValueError(f"a field of {length} bytes leads out of it")
        if kind == _BYTES and length <= _LONGEST_FIELD:
            yield number, stream.read(length)
        else:
            stream.seek(length, 1)
            yield number, None


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than ten bytes")


def _whole(value: int | bytes | None) -> int:
    if not isinstance(value, int):
        raise ValueError("a version that is no number")
    return value


def _text(value: int | bytes | None) -> str:
    if not isinstance(value, bytes):
        raise ValueError("metadata that is no text")
    return value.decode("utf-8")
