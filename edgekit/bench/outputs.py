"""What devices computed from the same golden inputs: equal bit by bit, or how far apart, in steps of the output.

Kernels for another instruction set may round differently, and some saturate: int8 outputs of x86 and ARM then differ,
which no measurement of time shows.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.bench.probes.reading import number
from edgekit.errors import DeviceError
from edgekit.types.bench import OutputCheck
from edgekit.types.qparams import Array

LARGEST_BYTES = 1_000_000_000
_ON_GRID = 0.02
"""How far, in steps, a float output may lie from its grid: float32 products of integers and a scale are this exact."""
_MOST_STEPS = 1 << 16


@dataclass(frozen=True)
class GoldenOutputs:
    """Outputs of one artifact on one device.

    Attributes:
        artifact: Name of the artifact.
        device: Name of the device.
        digest: sha256 over all outputs, hex, as the device says.
        samples: How many samples were run.
        top1: Share of labelled samples that are right; None without labels.
        arrays: Output -> array of shape (samples, ...), in order.
        scales: Of each output, real value of one step; None where its file does not tell.
        error: Why there are none; "" when there are.
    """

    artifact: str
    device: str
    digest: str = ""
    samples: int = 0
    top1: float | None = None
    arrays: tuple[Array, ...] = ()
    scales: tuple[float | None, ...] = ()
    error: str = ""


def read_outputs(path: Path) -> tuple[Array, ...]:
    """Arrays of an .npz from a device, in the order of the file's outputs.

    Raises:
        DeviceError: Too large, damaged, or it holds something other than numbers.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > LARGEST_BYTES:
            raise DeviceError(f"its outputs have {size} bytes; at most {LARGEST_BYTES} are read")
        with np.load(path, allow_pickle=False) as archive:
            arrays = tuple(archive[f"output_{place}"] for place in range(len(archive.files)))
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DeviceError(f"its outputs cannot be read: {error}") from error
    if any(array.dtype.kind not in "fiub" for array in arrays):
        raise DeviceError("its outputs hold something other than numbers")
    return arrays


def digest_outputs(arrays: Sequence[Array]) -> str:
    """sha256 over the bytes of all outputs in order, hex, as the agent takes it."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def compare_outputs(found: Sequence[GoldenOutputs]) -> tuple[OutputCheck, ...]:
    """Every device against the first that has outputs of the same artifact.

    Args:
        found: In the order of the devices; the first of each artifact is the reference.
    """
    references: dict[str, GoldenOutputs] = {}
    for outputs in found:
        if not outputs.error:
            references.setdefault(outputs.artifact, outputs)
    return tuple(_compare(outputs, references.get(outputs.artifact, outputs)) for outputs in found)


def output_scales(specs: Sequence[Mapping[str, Any]]) -> tuple[float | None, ...]:
    """Steps of the outputs from the agent's description of them; an integer output without a scale has steps of 1."""
    scales = []
    for spec in specs:
        scale = number(spec.get("scale"))
        integer = str(spec.get("dtype", "")).startswith(("int", "uint"))
        scales.append(1.0 if integer else scale if scale is not None and scale > 0 else None)
    return tuple(scales)


def _compare(outputs: GoldenOutputs, reference: GoldenOutputs) -> OutputCheck:
    check = OutputCheck(outputs.artifact, outputs.device, reference.device, error=outputs.error)
    if outputs.error:
        return check
    shapes = [array.shape for array in outputs.arrays] == [array.shape for array in reference.arrays]
    if not shapes:
        return OutputCheck(
            outputs.artifact, outputs.device, reference.device, error="its outputs have other shapes than the reference"
        )
    gaps = [
        np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
        for mine, theirs in zip(outputs.arrays, reference.arrays, strict=True)
    ]
    steps = [_step(array, scale) for array, scale in zip(reference.arrays, reference.scales, strict=True)]
    return OutputCheck(
        artifact=outputs.artifact,
        device=outputs.device,
        reference=reference.device,
        digest=outputs.digest,
        equal=outputs.digest == reference.digest,
        samples=outputs.samples,
        step=steps[0] if steps else None,
        lsb=_histogram(gaps, steps),
        max_abs=max((float(gap.max()) for gap in gaps if gap.size), default=0.0),
        top1=outputs.top1,
    )


def _step(array: Array, scale: float | None) -> float | None:
    """The scale, if the values lie on its grid; a softmax behind the last integers leaves none."""
    if scale is None or array.size == 0:
        return None
    steps = array.astype(np.float64) / scale
    off = np.abs(steps - np.rint(steps)).max()
    return scale if off < _ON_GRID and np.abs(steps).max() < _MOST_STEPS else None


def _histogram(gaps: Sequence[Array], steps: Sequence[float | None]) -> dict[str, int]:
    counts: dict[int, int] = {}
    for gap, step in zip(gaps, steps, strict=True):
        if step is None:
            continue
        far = np.nan_to_num(np.rint(gap / step), nan=_MOST_STEPS, posinf=_MOST_STEPS)  # NaN is as far as can be
        values, numbers = np.unique(np.minimum(far, _MOST_STEPS).astype(np.int64), return_counts=True)
        for value, times in zip(values, numbers, strict=True):
            counts[int(value)] = counts.get(int(value), 0) + int(times)
    return {str(lsb): counts[lsb] for lsb in sorted(counts)}
