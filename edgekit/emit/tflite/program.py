"""Program: the tensors and operations of one TFLite subgraph before they become bytes.

Kept apart from the flatbuffer so that lowering can create freely (a reshape that turns out unread, the same
constant twice) and the writer sees only what the outputs need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.types.qparams import Array, QParams


@dataclass(frozen=True, eq=False)
class Tensor:
    """One TFLite tensor, in the order it is stored.

    Attributes:
        name: Shown by tools; the model's value name where there is one.
        shape: Static shape as stored.
        dtype: numpy name, or "int4".
        qparams: Scale and zero point, `axis` counted in the stored order.
        data: The contents of a constant, int4 as int8; else None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    qparams: QParams | None = None
    data: Array | None = None


@dataclass(frozen=True, eq=False)
class Operation:
    """One TFLite operator: its builtin name, tensors (-1 for an absent optional input) and options table."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None


class Program:
    """Grows tensor by tensor; every method returns tensor indices."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operations: list[Operation] = []
        self._constants: dict[tuple[object, ...], int] = {}

    def tensor(self, name: str, shape: Sequence[int], *, dtype: str, qparams: QParams | None = None) -> int:
        """Add a run-time tensor."""
        self.tensors.append(Tensor(name, tuple(int(size) for size in shape), dtype, qparams))
        return len(self.tensors) - 1

    def constant(self, name: str, data: Array, *, qparams: QParams | None = None) -> int:
        """Add a constant, or find the one with the same contents and QParams."""
        data = np.ascontiguousarray(data).reshape(np.shape(data))
        key = (data.dtype.str, data.shape, data.tobytes(), _key(qparams))
        if key not in self._constants:
            dtype = str(data.dtype) if qparams is None else qparams.dtype
            self.tensors.append(Tensor(name, data.shape, dtype, qparams, data))
            self._constants[key] = len(self.tensors) - 1
        return self._constants[key]

    def operation(self, code: str, inputs: Sequence[int], *, outputs: Sequence[int], options: Any = None) -> None:
        """Add an operation after all others."""
        self.operations.append(Operation(code, tuple(inputs), tuple(outputs), options))

    def rename(self, tensor: int, name: str) -> None:
        """Give a tensor another name."""
        self.tensors[tensor] = replace(self.tensors[tensor], name=name)

    def live(self, outputs: Sequence[int]) -> list[Operation]:
        """The operations that `outputs` need, in order."""
        wanted = set(outputs)
        kept: list[Operation] = []
        for operation in reversed(self.operations):
            if wanted.intersection(operation.outputs):
                wanted.update(operation.inputs)
                kept.append(operation)
        return kept[::-1]


def _key(qparams: QParams | None) -> tuple[object, ...]:
    if qparams is None:
        return ()
    return (qparams.scale.tobytes(), qparams.zero_point.tobytes(), qparams.dtype, qparams.axis, qparams.block)
