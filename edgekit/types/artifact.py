"""Artifact: one written model file. Emission hands it on; check, report and everything after read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.types.spec import TensorSpec

Format = Literal[
    "onnx-fp32",
    "onnx-int8",
    "onnx-x86",
    "onnx-qop",
    "tflite-int8",
    "onnx-vnni",
    "onnx-arm",
    "onnx-qnn",
    "onnx-tensorrt",
    "onnx-host",
    "onnx-int4",
    "tflite-int4",
]
"""What a file is: float ONNX, canonical QDQ, QDQ for x86 CPUs, QOperator, TFLite; those of single targets; and float
arithmetic on int4 weights."""

FORMATS: tuple[Format, ...] = ("onnx-fp32", "onnx-int8", "onnx-x86", "onnx-qop", "tflite-int8")
"""What `emit.formats` may name, and is when nothing is said; the others are written for their target alone."""
FLOAT: Format = "onnx-fp32"
"""The float file that every int8 file is measured against."""
INT4: tuple[Format, ...] = ("onnx-int4", "tflite-int4")
"""The formats that hold int4 weights, and no quantized activations."""


def with_int4_weights(formats: Iterable[str]) -> tuple[Format, ...]:
    """What a list of formats becomes when the weights are int4: one file for each runtime that was asked for.

    >>> with_int4_weights(("onnx-fp32", "onnx-int8", "onnx-x86"))
    ('onnx-fp32', 'onnx-int4')
    """
    wanted = {
        FLOAT if name == FLOAT else "tflite-int4" if name.startswith("tflite") else "onnx-int4" for name in formats
    }
    return tuple(name for name in (FLOAT, *INT4) if name in wanted)


def parts_of(path: Path) -> list[Path]:
    """The files a model file consists of: itself, and its external data `<name>.data` where it has some."""
    data = path.with_name(f"{path.name}.data")
    return [path, data] if data.exists() else [path]


@dataclass(frozen=True)
class Artifact:
    """One file on disk.

    Attributes:
        path: Where it is.
        format: What it is.
        size_bytes: Its size, external data included.
        digest: sha256 of the file, as `edgekit.digest.of_files` writes it. With external data, which holds nearly all
            of a large model: sha256 of the two files' hex digests, joined, in the order of `parts_of`.
        inputs: What it takes, in calling order and in the model's axis order.
        outputs: What it returns, in returning order and in the model's axis order.
    """

    path: Path
    format: Format
    size_bytes: int
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_tflite(self) -> bool:
        """Whether LiteRT runs it; ONNX Runtime runs all the others."""
        return self.format.startswith("tflite")
