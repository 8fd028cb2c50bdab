"""What the first batch of calibration data says about a live module's inputs, so that nobody has to repeat it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from torch import nn

from edgekit.load.call import parameters_of
from edgekit.types.spec import TensorSpec

_KEPT = ("float32", "float16", "int64", "int32", "bool")


def inputs_from_data(module: nn.Module, data: object) -> tuple[tuple[TensorSpec, ...], object]:
    """Read the inputs' shapes off the first batch.

    A tuple batch is taken as (inputs..., labels): its leading entries go to the required parameters of `forward`. A
    dict batch goes by name. uint8 data is left alone, since preprocessing will change its shape and type.

    Args:
        module: Whose `forward` names the inputs.
        data: As `open_samples` takes it; a path says nothing.

    Returns:
        (specs at batch 1, the data): specs are empty when the data does not tell; a one-shot iterator comes back
        with its first batch put in front again.
    """
    first, data = _first_batch(data)
    names, required, _ = parameters_of(module)
    if isinstance(first, Mapping):
        found = [(name, first[name]) for name in names if name in first]
    elif isinstance(first, tuple | list):
        found = list(zip(required or names[:1], first, strict=False))
    else:
        found = [] if first is None else [((required or names)[0], first)]
    specs = [_spec(name, value) for name, value in found]
    complete = bool(specs) and None not in specs and len(specs) >= len(required)
    return (tuple(spec for spec in specs if spec) if complete else ()), data


def _first_batch(data: object) -> tuple[object, object]:
    if data is None or isinstance(data, str | bytes) or hasattr(data, "__fspath__"):
        return None, data
    if isinstance(data, Mapping | tuple) or hasattr(data, "shape"):
        return data, data
    if isinstance(data, Iterator):
        head = next(data, None)
        return head, itertools.chain([] if head is None else [head], data)
    return (next(iter(data), None) if isinstance(data, Iterable) else None), data


def _spec(name: str, value: object) -> TensorSpec | None:
    """At batch 1, or None when the value is no batch of numbers."""
    shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", "")).removeprefix("torch.")
    if shape is None or len(shape) == 0:
        return None
    dtype = "float32" if dtype in ("float64", "bfloat16") else dtype
    if dtype not in _KEPT:
        return None
    return TensorSpec(name, (1, *(int(size) for size in shape[1:])), dtype)
