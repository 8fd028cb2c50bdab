"""Running the installed model: arrays in, arrays out, in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgekit.errors import InputError, StorageError
from edgekit.node.memory_limit import memory_bytes
from edgekit.node.model_process import run_model
from edgekit.runtime.agent_process import LARGEST_FILE_BYTES, Limits
from edgekit.runtime.array_archive import read_array, read_arrays, write_arrays
from edgekit.types.manifest import Variant
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

TIMEOUT_S = 600.0


def infer(
    folder: Path, variant: Variant, inputs: Mapping[str, Array], *, timeout_s: float = TIMEOUT_S, threads: int = 1
) -> dict[str, Array]:
    """Run the model on one sample or more.

    Args:
        folder: Holds the variant's files.
        variant: What is run.
        inputs: Input name -> array of shape (samples, *shape), where a first axis of 1 of the shape may be left out,
            or of one sample's shape. Integers as stored; reals are quantized for an integer input with a scale.
        timeout_s: Wall time that all samples may take, seconds.
        threads: Of the runtime.

    Returns:
        Output name -> array of shape (samples, *shape), where a first axis of 1 of the shape is left out.

    Raises:
        InputError: An input is missing or unknown, or has a shape, dtype or values that the model does not take.
        NodeError: The model cannot be run here; says why.
        StorageError: There is no room for temporary files.
    """
    samples = _as_samples(variant, inputs)
    limits = Limits(timeout_s=timeout_s, memory_bytes=memory_bytes())
    try:
        with tempfile.TemporaryDirectory(prefix="edgekit.") as scratch:
            path = Path(scratch, "inputs.npz")
            with path.open("wb") as stream:
                write_arrays(stream, samples)
            found = run_model(folder, variant, path, limits, threads=threads)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"temporary files cannot be written: {error.strerror or error}") from error
    return {spec.name: _without_batch(found[spec.name], spec) for spec in variant.outputs}


def read_inputs(path: Path, variant: Variant) -> dict[str, Array]:
    """Inputs out of a file: an .npz with an array per input, or an .npy for a model with one input.

    An .npz with a single array serves a single input, whatever it is called.

    Raises:
        InputError: The file cannot be read, or is no such file.
    """
    names = [spec.name for spec in variant.inputs]
    try:
        if path.suffix == ".npy":
            found = {names[0] if len(names) == 1 else path.stem: read_array(path, limit_bytes=LARGEST_FILE_BYTES)}
        else:
            found = read_arrays(path, limit_bytes=LARGEST_FILE_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}", hint="write it with numpy.savez (.npz) or numpy.save (.npy)") from error
    if len(names) == 1 and len(found) == 1:
        return {names[0]: next(iter(found.values()))}
    return found


def write_outputs(path: Path, outputs: Mapping[str, Array]) -> None:
    """Write an .npz with an array per output, whole or not at all.

    Raises:
        StorageError: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as stream:
            write_arrays(stream, outputs)
        unfinished.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _as_samples(variant: Variant, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Input name -> array of shape (samples, *shape) in the input's dtype."""
    wanted = [spec.name for spec in variant.inputs]
    if set(inputs) != set(wanted):
        raise InputError(
            f"the model takes {', '.join(map(str, variant.inputs))}; given is {', '.join(sorted(inputs)) or 'nothing'}",
            hint="name the arrays as the model's inputs are called",
        )
    found = {spec.name: _stored(spec, _stacked(spec, np.asarray(inputs[spec.name]))) for spec in variant.inputs}
    counts = {len(array) for array in found.values()}
    if len(counts) != 1 or counts == {0}:
        told = ", ".join(f"{name} {len(array)}" for name, array in found.items())
        raise InputError(f"the inputs have different numbers of samples, or none: {told}")
    return found


def _stacked(spec: TensorSpec, array: Array) -> Array:
    """The array with samples along a first axis of its own."""
    if array.shape[1:] == spec.shape and array.ndim == len(spec.shape) + 1:
        return array
    if spec.shape and spec.shape[0] == 1 and array.ndim == len(spec.shape) and array.shape[1:] == spec.shape[1:]:
        return array[:, None]
    if array.shape == spec.shape:
        return array[None]
    raise InputError(
        f"input '{spec.name}' has shape {array.shape}; a sample has {spec.shape}",
        hint="stack samples along the first axis",
    )


def _stored(spec: TensorSpec, array: Array) -> Array:
    """The array in the input's dtype, with nothing lost but a float's last digits."""
    target = np.dtype(spec.dtype)
    if array.dtype == target:
        return array
    if array.dtype.kind not in "fiub":
        raise InputError(f"input '{spec.name}' holds {array.dtype}, which are no numbers")
    limits = np.iinfo(target) if target.kind in "iu" else None
    if limits and array.dtype.kind == "f":
        if spec.scale is None or not np.isfinite(array).all():
            raise InputError(
                f"input '{spec.name}' is {array.dtype}; the model takes {spec.dtype}",
                hint="give finite numbers" if spec.scale is not None else "cast it first",
            )
        steps = np.rint(array.astype(np.float64) / spec.scale) + (spec.zero_point or 0)
        stored: Array = np.clip(steps, limits.min, limits.max).astype(target)
        return stored
    if limits and array.size and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
        raise InputError(
            f"input '{spec.name}' has values {array.min()} to {array.max()}; "
            f"{spec.dtype} holds {limits.min} to {limits.max}"
        )
    if not limits and not np.can_cast(array.dtype, target, "same_kind"):
        raise InputError(f"input '{spec.name}' is {array.dtype}; the model takes {spec.dtype}", hint="cast it first")
    return array.astype(target)


def _without_batch(array: Array, spec: TensorSpec) -> Array:
    return array.reshape(len(array), *array.shape[2:]) if spec.shape[:1] == (1,) else array
