"""LiteRT (TensorFlow Lite) as a Session: any .tflite file, in the model's own axis order.

`ai-edge-litert` and `tflite-runtime` are two builds of one runtime; whichever is installed is used. The first checks a
file before it maps it; the second walks into a damaged one and dies, so there a file is tried in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import InputError, MissingExtraError, ModelLoadError
from edgekit.runtime.flatbuffer import metadata_entry
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    CHECKS_FILES = True
except ImportError:
    try:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", extra="compress") from error
    CHECKS_FILES = False

METADATA_NAME = "edgekit"
_LARGEST_BYTES = 2**31 - 1
_PROBE = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for tensor in interpreter.get_input_details():
    interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
interpreter.invoke()
"""


class LitertSession:
    """One loaded .tflite file. `run` is stateless; one thread at a time.

    Attributes:
        inputs: What `run` takes, in the model's axis order.
        outputs: What `run` returns.
        taps: The inner values it returns besides: those of the asked ones that the file keeps (a reshape may have
            been merged into its neighbour) and that are no outputs.
        metadata: Text that was given to the emitter.
    """

    def __init__(self, interpreter: Interpreter, *, description: Mapping[str, Any], taps: Sequence[str]) -> None:
        self._interpreter = interpreter
        self.metadata: dict[str, str] = dict(description.get("metadata", {}))
        self._inputs = _border(interpreter.get_input_details(), description.get("inputs", ()))
        self._outputs = _border(interpreter.get_output_details(), description.get("outputs", ()))
        outputs = {spec.name for spec in self._outputs}
        inner = [tap for tap in dict.fromkeys(taps) if tap not in outputs]
        self._taps = _inner(interpreter, description.get("values", {}), inner)
        self.inputs = tuple(self._inputs)
        self.outputs = tuple(self._outputs)
        self.taps = tuple(self._taps)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once.

        Args:
            feeds: Input name -> array of the spec's shape, castable to its dtype without losing its kind (an int8
                input takes integers as stored, never floats).

        Returns:
            Output and tap name -> array in the model's axis order, integers as stored.

        Raises:
            InputError: An input is missing, its shape or dtype does not fit, or the runtime refuses its values (an
                index beyond its table).
        """
        missing = [spec.name for spec in self.inputs if spec.name not in feeds]
        if missing:
            raise InputError(f"no value for input {', '.join(missing)}; got {', '.join(feeds) or 'none'}")
        stored = {index: _stored(spec, np.asarray(feeds[spec.name])) for spec, index in self._inputs.items()}
        try:
            return self._run(stored)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot run the file on these inputs: {_first_line(error)}") from error

    def _run(self, stored: Mapping[int, Array]) -> dict[str, Array]:
        """Tensor index -> array as the file stores it, to what `run` returns."""
        self._interpreter.reset_all_variables()
        for index, array in stored.items():
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        found = {**self._outputs, **self._taps}
        return {spec.name: _restored(spec, self._interpreter.get_tensor(index)) for spec, index in found.items()}


def open_tflite(path: Path, *, threads: int = 1, delegate: bool = True, taps: Sequence[str] = ()) -> LitertSession:
    """Load a .tflite file on the CPU.

    Args:
        path: The file.
        threads: Threads of the kernels.
        delegate: False runs every operator on the builtin kernels, without XNNPACK.
        taps: Inner values to return as well. They exist only on the builtin kernels, so taps switch XNNPACK off.

    Raises:
        ModelLoadError: The file is missing, corrupt, or holds something this runtime cannot run.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise ModelLoadError(f"{path.name} has {size} bytes; a .tflite file has at most {_LARGEST_BYTES}")
        contents = path.read_bytes()
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    description = _description(path, contents)
    if not CHECKS_FILES:
        _probe(path)
    kernels = OpResolverType.AUTO
    if taps or not delegate:
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with _quiet():
            interpreter = Interpreter(
                model_content=contents,
                num_threads=threads,
                experimental_op_resolver_type=kernels,
                experimental_preserve_all_tensors=bool(taps),
            )
            interpreter.allocate_tensors()
        return LitertSession(interpreter, description=description, taps=taps)
    except (ValueError, RuntimeError, TypeError, KeyError, AttributeError, MemoryError) as error:
        raise ModelLoadError(f"LiteRT cannot load {path.name}: {_first_line(error)}") from error


def _description(path: Path, contents: bytes) -> Mapping[str, Any]:
    """What the emitter wrote about the border; empty for files of others."""
    try:
        text = metadata_entry(contents, METADATA_NAME)
        description = json.loads(text) if text else {}
    except ValueError as error:
        raise ModelLoadError(f"{path.name} is not an intact .tflite file: {_first_line(error)}") from error
    if not isinstance(description, dict):
        raise ModelLoadError(f"{path.name} is not an intact .tflite file: its edgekit metadata is no JSON object")
    return description


def _border(details: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]) -> dict[TensorSpec, int]:
    """Spec -> tensor index, named and permuted as the metadata says."""
    if entries and len(entries) != len(details):
        raise ValueError(f"the metadata names {len(entries)} tensors at a border of {len(details)}")
    found = {}
    for position, detail in enumerate(details):
        entry = entries[position] if entries else {}
        found[_spec(detail, str(entry.get("name", detail["name"])), entry.get("permutation"))] = int(detail["index"])
    return found


def _inner(interpreter: Interpreter, places: Mapping[str, Any], taps: Sequence[str]) -> dict[TensorSpec, int]:
    if not taps:
        return {}
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    found = {}
    for tap in taps:
        place = places.get(tap, {"tensor": tap, "permutation": None})
        if place["tensor"] in details:
            detail = details[place["tensor"]]
            found[_spec(detail, tap, place["permutation"])] = int(detail["index"])
    return found


def _spec(detail: Mapping[str, Any], name: str, permutation: Sequence[int] | None) -> TensorSpec:
    stored = tuple(int(size) for size in detail["shape"])
    axes = tuple(int(axis) for axis in permutation) if permutation is not None else tuple(range(len(stored)))
    if sorted(axes) != list(range(len(stored))):
        raise ValueError(f"'{name}' of shape {stored} cannot be permuted by {axes}")
    scales, zero_points = detail["quantization_parameters"]["scales"], detail["quantization_parameters"]["zero_points"]
    return TensorSpec(
        name,
        tuple(stored[axes.index(axis)] for axis in range(len(stored))),
        str(np.dtype(detail["dtype"])),
        permutation=None if axes == tuple(range(len(stored))) else axes,
        scale=float(scales[0]) if len(scales) == 1 else None,
        zero_point=int(zero_points[0]) if len(zero_points) == 1 else None,
    )


def _stored(spec: TensorSpec, array: Array) -> Array:
    if array.shape != spec.shape:
        raise InputError(f"input '{spec.name}' has shape {array.shape}; the file takes {spec.shape}")
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise InputError(
            f"input '{spec.name}' is {array.dtype}; the file takes {spec.dtype}",
            hint="quantize it with the input's scale and zero point" if spec.scale is not None else "cast it first",
        )
    permuted = array.transpose(spec.permutation or range(array.ndim))
    return np.asarray(permuted, spec.dtype, order="C")  # `ascontiguousarray` would make a scalar an array of one


def _restored(spec: TensorSpec, array: Array) -> Array:
    if spec.permutation is None:
        return array
    return np.ascontiguousarray(array.transpose(np.argsort(spec.permutation)))


def _probe(path: Path) -> None:
    """Load and run the file in another process, which a damaged one may take down."""
    done = subprocess.run([sys.executable, "-c", _PROBE, str(path)], capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = f"it stops the runtime (signal {-done.returncode})" if done.returncode < 0 else lines[-1]
        raise ModelLoadError(f"tflite-runtime cannot load {path.name}: {reason}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the C++ side prints on the error stream while a file is loaded; Python sees errors as exceptions."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(silence)
        os.close(kept)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
