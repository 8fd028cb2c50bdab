"""Finds the constants of an imported file in the simplified graph, and gives weights the form that kernels take.

Simplification renames constants and turns matrices, but it does not change the values of those that no layer was folded
into: they are recognized by their bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.shrink.quantization.weights import SMALLEST_SCALE, channel_axis
from edgekit.types.graph import Graph, Node
from edgekit.types.imported import Imported, StoredConstant
from edgekit.types.qparams import WEIGHT_LIMIT, Array, QParams


@dataclass(frozen=True, eq=False)
class SymmetricWeight:
    """A weight as int8 kernels take it.

    Attributes:
        params: int8, zero point 0, per channel where the operator allows it.
        integers: Of the weight's shape.
        rounded: Channels whose integers are not those of the file.
    """

    params: QParams
    integers: Array
    rounded: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether every real value is that of the file."""
        return self.rounded == 0


class Constants:
    """Constants of a graph that the file stores as integers."""

    def __init__(self, arrays: Mapping[str, Array], found: Mapping[int, StoredConstant]) -> None:
        self._arrays = dict(arrays)
        self._found = found

    def find(self, name: str) -> StoredConstant | None:
        """What the file stores for a constant, copies of it included."""
        array = self._arrays.get(name)
        return None if array is None else self._found.get(id(array))

    def operand(self, name: str) -> StoredConstant | None:
        """The same for a constant read as an activation: int8 with one scale, else None."""
        stored = self.find(name)
        return stored if stored is not None and stored.params.dtype == "int8" and stored.params.axis is None else None

    def weight(self, graph: Graph, node: Node) -> SymmetricWeight | None:
        """The weight of a linear node; None when the file does not store it as int8."""
        return self._symmetric(node.inputs[1], channel_axis(node))

    def symmetric(self, name: str, *, axis: int | None) -> StoredConstant | None:
        """A weight of any other operator."""
        made = self._symmetric(name, axis)
        return None if made is None else StoredConstant(made.params, made.integers)

    def _symmetric(self, name: str, axis: int | None) -> SymmetricWeight | None:
        stored = self.find(name)
        return None if stored is None or stored.params.dtype != "int8" else symmetric(stored, axis)

    def extended(self, arrays: Mapping[str, Array]) -> Constants:
        """With the names that sharing constants between roles has added."""
        return Constants({**self._arrays, **arrays}, self._found)


def match_constants(graph: Graph, imported: Imported) -> Constants:
    """Recognize the imported constants: by name where the graph has it, else by their real values.

    Args:
        graph: Simplified: a matrix may be turned, and any array have got or lost axes of size 1.
        imported: The constants of the file.
    """
    by_content: dict[str, StoredConstant] = {}
    for stored in imported.constants.values():
        for turned in (stored, _transposed(stored)):
            if turned is not None:
                by_content.setdefault(_digest(turned.reals), turned)
    found: dict[int, StoredConstant] = {}
    for name, array in graph.constants.items():
        named = imported.constants.get(name)
        if named is not None and named.integers.shape == array.shape:
            found[id(array)] = named
        elif array.dtype == np.float32 and array.size and (same := by_content.get(_digest(array))) is not None:
            fitted = _reshaped(same, array.shape)
            if fitted is not None:
                found[id(array)] = fitted
    return Constants(graph.constants, found)


def symmetric(stored: StoredConstant, axis: int | None) -> SymmetricWeight:
    """The same weight with zero point 0 and scales along `axis` (None: one scale).

    A channel keeps its scale when its integers, less their zero point, fit int8; otherwise its scale is widened until
    they do, and they are rounded to nearest.

    Args:
        stored: int8 with any zero point and axis.
        axis: Where kernels want the scales.
    """
    reals, params = stored.reals, stored.params
    centred = stored.integers.astype(np.int32) - params.spread(params.zero_point, reals.ndim)
    count = 1 if axis is None else reals.shape[axis]
    rows = (lambda array: array.reshape(1, -1)) if axis is None else (lambda array: _rows(array, axis))
    scales = np.broadcast_to(params.spread(params.scale, reals.ndim), reals.shape)
    scale = rows(scales)[:, 0].astype(np.float32)
    fits = (rows(scales) == scale[:, None]).all(axis=1)
    fits &= (rows(centred) >= -128).all(axis=1) & (rows(centred) <= WEIGHT_LIMIT).all(axis=1)
    widened = np.maximum(np.abs(rows(reals)).max(axis=1) / WEIGHT_LIMIT, SMALLEST_SCALE).astype(np.float32)
    scale = np.where(fits, scale, widened)
    made = QParams(scale.reshape(()) if axis is None else scale, np.zeros(() if axis is None else count), "int8", axis)
    spread = made.spread(fits, reals.ndim) if axis is not None else fits.reshape(())
    integers = np.where(spread, centred, np.clip(made.quantize(reals), -WEIGHT_LIMIT, WEIGHT_LIMIT)).astype(np.int8)
    return SymmetricWeight(made, integers, int((~fits).sum()))


def _rows(array: Array, axis: int) -> Array:
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def _digest(array: Array) -> str:
    """Of the values in order; the shape does not count, but their number does."""
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).hexdigest()


def _transposed(stored: StoredConstant) -> StoredConstant | None:
    if stored.integers.ndim != 2:
        return None
    params = stored.params
    turned = QParams(params.scale, params.zero_point, params.dtype, None if params.axis is None else 1 - params.axis)
    return StoredConstant(turned, np.ascontiguousarray(stored.integers.T))


def _reshaped(stored: StoredConstant, shape: tuple[int, ...]) -> StoredConstant | None:
    """In another shape; None when the axis of the scales is lost by it."""
    params, old = stored.params, stored.integers.shape
    if old == shape:
        return stored
    integers = stored.integers.reshape(shape)
    if params.axis is None:
        return StoredConstant(params, integers)
    before = int(np.prod(old[: params.axis]))
    fitting = [
        axis for axis, size in enumerate(shape) if size == old[params.axis] and int(np.prod(shape[:axis])) == before
    ]
    if not fitting:
        return None
    return StoredConstant(QParams(params.scale, params.zero_point, params.dtype, fitting[0]), integers)
