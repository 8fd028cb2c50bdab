"""Calibration data as each step of a schedule wants them: inputs alone, and the shapes that follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from edgekit.errors import CalibrationError
from edgekit.load.call import call_of
from edgekit.load.first_batch import inputs_from_data
from edgekit.training.batches import LABELS, read_batch
from edgekit.types.spec import TensorSpec

MOST_BATCHES = 16
"""So many batches are enough for what is estimated from them."""


def specs_of(net: nn.Module, data: object, declared: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs of a net: as declared, else as the first batch says; labels are none.

    Raises:
        CalibrationError: The batch does not tell.
    """
    if declared:
        return declared
    found = tuple(spec for spec in inputs_from_data(net, data)[0] if spec.name not in LABELS)
    if not found:
        raise CalibrationError(
            f"the calibration data do not tell the inputs of {type(net).__name__}",
            hint="declare them: CompressionSchedule(inputs=(TensorSpec('image', (1, 3, 32, 32)),))",
        )
    return found


def example_of(net: nn.Module, specs: tuple[TensorSpec, ...], like: Tensor) -> tuple[object, ...] | dict[str, object]:
    """Arguments of one call with random values, batch 1, on the device of a tensor."""
    call = call_of(net, specs)
    args = tuple(value.to(like.device) for value in call.args if isinstance(value, Tensor))
    named = {name: value.to(like.device) for name, value in call.kwargs.items() if isinstance(value, Tensor)}
    if not named:
        return args
    return {**{spec.name: value for spec, value in zip(call.specs, args, strict=False)}, **named}


class InputBatches:
    """Inputs without labels: tensors, or dicts of arguments; a few, from the start each time."""

    def __init__(self, data: Iterable[object], like: Tensor, limit: int = MOST_BATCHES) -> None:
        """Read them from `data`, onto the device of `like`."""
        self._data, self._like, self._limit = data, like, limit

    def __iter__(self) -> Iterator[Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]]:
        """One walk."""
        for found in itertools.islice(self._data, self._limit):
            batch = read_batch(found).to(self._like.device)
            if batch.named:
                yield dict(batch.named)
            else:
                yield batch.args[0] if len(batch.args) == 1 else batch.args


def input_batches(data: object, like: Tensor, *, limit: int = MOST_BATCHES) -> InputBatches | None:
    """The batches of Python data; None for paths and arrays, which have none."""
    is_batched = isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping | tuple)
    if not is_batched or hasattr(data, "shape") or hasattr(data, "__fspath__"):
        return None
    return InputBatches(data, like, limit)  # type: ignore[arg-type]  # the line above says that it is one
