"""Golden inputs: what a node runs a model on before it switches to it; given by the user, or drawn at random.

Drawn values lie on the grid of the quantized input, so that every file reads the very same integers out of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.random import (
    RandomState,
)  # with this file: a Ctrl-C while numpy loads it, later and by itself, would be lost

from edgekit.errors import InputError
from edgekit.runtime.array_archive import read_arrays
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

MOST_SAMPLES, LEAST_SAMPLES = 16, 2
DRAWN_BYTES = 1_500_000
"""About how large drawn inputs may become: every node fetches them."""
MOST_GIVEN_SAMPLES = 4096
LARGEST_GIVEN_BYTES = 2**28
_LABELS = ("labels", "label")


def draw_inputs(specs: Sequence[TensorSpec], *, seed: int = 0) -> dict[str, Array]:
    """Random inputs, the same on every machine and with every numpy (RandomState's stream is frozen, NEP 19).

    Args:
        specs: Inputs of a file with scales, where there is one; floats without a scale are drawn from [-1, 1),
            integers that stand for no reals from 0 and 1.
        seed: Of the draw.

    Returns:
        Input name -> reals (float32), or integers for inputs that are integers; shape (samples, *input shape).
    """
    size = sum(4 * int(np.prod(spec.shape, dtype=np.int64)) for spec in specs)
    samples = max(LEAST_SAMPLES, min(MOST_SAMPLES, DRAWN_BYTES // max(size, 1)))
    found = {}
    for number, spec in enumerate(specs):
        random = RandomState([seed, number])
        shape = (samples, *spec.shape)
        if spec.scale is not None and spec.zero_point is not None:
            low = 0 if spec.dtype == "uint8" else -128
            steps = random.randint(low, low + 256, shape) - spec.zero_point
            found[spec.name] = (steps * np.float64(spec.scale)).astype(np.float32)
        elif spec.dtype.startswith("float"):
            found[spec.name] = (random.random_sample(shape) * 2 - 1).astype(spec.dtype)
        else:
            found[spec.name] = random.randint(0, 2, shape).astype(spec.dtype)
    return found


def read_given(path: Path, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The user's golden inputs.

    Args:
        path: An .npz: one array per input name, samples along axis 0; a single array serves a single input. Labels
            are passed over.
        specs: What the model takes.

    Returns:
        As `draw_inputs`.

    Raises:
        InputError: It cannot be read, does not fit the model, or holds NaN or an infinity.
    """
    hint = "give an .npz with one array per input name, of shape (samples, *input shape)"
    try:
        arrays = read_arrays(path, limit_bytes=LARGEST_GIVEN_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"golden inputs {path} cannot be read: {error}", hint=hint) from error
    names = [spec.name for spec in specs]
    given = {name: array for name, array in arrays.items() if name in names or name not in _LABELS}
    if len(given) == len(names) == 1:
        given = {names[0]: next(iter(given.values()))}
    if sorted(given) != sorted(names):
        raise InputError(
            f"golden inputs {path} hold {', '.join(sorted(given)) or 'nothing'}; the model takes {', '.join(names)}",
            hint=hint,
        )
    counts = {len(array) if array.ndim else 0 for array in given.values()}
    if len(counts) != 1 or not 1 <= min(counts) <= MOST_GIVEN_SAMPLES:
        raise InputError(
            f"golden inputs {path} have to hold 1 to {MOST_GIVEN_SAMPLES} samples of each input", hint=hint
        )
    return {spec.name: _fitted(given[spec.name], spec, path, hint) for spec in specs}


def as_taken(inputs: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Golden inputs in the element types of a file: reals become the integers of an integer input."""
    found = {}
    for spec in specs:
        array = inputs[spec.name]
        if array.dtype.kind == "f" and spec.dtype in ("int8", "uint8") and spec.scale:
            info = np.iinfo(spec.dtype)
            steps = np.rint(array.astype(np.float64) / spec.scale) + (spec.zero_point or 0)
            array = np.clip(steps, info.min, info.max)
        found[spec.name] = np.asarray(array, spec.dtype, order="C")
    return found


def _fitted(array: Array, spec: TensorSpec, path: Path, hint: str) -> Array:
    """One input's samples in the shape that the model takes, batch axis of 1 added where it was left out."""
    wanted = int(np.prod(spec.shape, dtype=np.int64))
    if array[0].size != wanted:
        shape = "x".join(map(str, spec.shape))
        raise InputError(
            f"golden inputs {path}: a sample of '{spec.name}' has {array[0].size} elements; the model takes {shape}",
            hint=hint,
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"golden inputs {path}: '{spec.name}' holds NaN or an infinity")
    return array.reshape(len(array), *spec.shape)
