"""Inputs and outputs of a model file, with the scale of each that stands for integers.

A file that takes and gives floats quantizes and dequantizes inside; its metadata has the scales, and a golden answer
is compared in their steps.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import InputError
from edgekit.pack.compressed import WrittenFile
from edgekit.pack.onnx_header import OnnxHeader
from edgekit.runtime.flatbuffer import metadata_entry
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

_SCALES = "edgekit.scales"
_ON_GRID = 0.02
"""How far, in steps, a float that stands for an integer may lie off: float32 products are this exact."""
_MOST_STEPS = 1 << 16


@dataclass(frozen=True)
class Border:
    """Where a file meets the world.

    Attributes:
        inputs: What it takes, in the file's order.
        outputs: What it gives, in the file's order.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def read_border(file: WrittenFile, path: Path, header: OnnxHeader | None) -> Border:
    """The border of a file, scales included.

    Args:
        file: As its report tells it.
        path: Where it is.
        header: Of an ONNX file; None for a .tflite.

    Raises:
        InputError: The file cannot be read.
    """
    scales = _read_json(header.metadata.get(_SCALES, "")) if header else _tflite_scales(path)
    return Border(
        tuple(_with_scale(spec, scales.get(spec.name)) for spec in file.inputs),
        tuple(_with_scale(spec, scales.get(spec.name)) for spec in file.outputs),
    )


def lies_on_grid(array: Array, scale: float | None) -> bool:
    """Whether values are whole multiples of a step; those of a softmax behind the last integers are not."""
    if array.dtype.kind != "f":
        return True
    if scale is None or scale <= 0 or not np.isfinite(array).all():
        return False
    steps = array.astype(np.float64) / scale
    off = np.abs(steps - np.rint(steps)).max(initial=0.0)
    return bool(off < _ON_GRID and np.abs(steps).max(initial=0.0) < _MOST_STEPS)


def off_grid(spec: TensorSpec) -> TensorSpec:
    """The tensor without a scale."""
    return dataclasses.replace(spec, scale=None, zero_point=None)


def _with_scale(spec: TensorSpec, params: object) -> TensorSpec:
    """A float tensor with the scale that the metadata tells; an integer one has its own already."""
    if not spec.dtype.startswith("float") or not isinstance(params, Mapping):
        return spec
    scale, zero_point = params.get("scale"), params.get("zero_point")
    if not isinstance(scale, float | int) or not isinstance(zero_point, int) or not scale > 0:
        return spec
    return dataclasses.replace(spec, scale=float(scale), zero_point=zero_point)


def _tflite_scales(path: Path) -> Mapping[str, Any]:
    try:
        described = _read_json(metadata_entry(path.read_bytes(), "edgekit").decode())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path.name} is no intact .tflite file: {error}") from error
    metadata = described.get("metadata")
    return _read_json(str(metadata.get(_SCALES, ""))) if isinstance(metadata, Mapping) else {}


def _read_json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
