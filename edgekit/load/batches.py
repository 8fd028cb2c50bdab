"""What a data loader yields, sorted out: which arrays feed which input, and which are labels.

Anything that turns into a numpy array is taken: arrays, torch tensors on any device, lists of those by `DataLoader`'s
collation, dictionaries, `(inputs, labels)` pairs. torch itself is never imported for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.errors import CalibrationError
from edgekit.load.columns import Column, MemoryRows, Rows, fit_column
from edgekit.types.finding import Finding
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

LABEL_KEYS = ("y", "label", "labels", "target", "targets")


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of every input, side by side.

    Attributes:
        columns: input name -> its samples; all have the same count.
        count: How many samples.
        classes: int64 (count,) labels, or None.
        findings: Those of the columns.
    """

    columns: Mapping[str, Column]
    count: int
    classes: Array | None
    findings: tuple[Finding, ...] = ()

    def read(self, index: int) -> dict[str, Array]:
        """One sample: input name -> array."""
        return {name: column.read(index) for name, column in self.columns.items()}


def fit_batch(value: object, inputs: Sequence[TensorSpec], preprocessing: Preprocessing | None, *, where: str) -> Batch:
    """Sort out one batch.

    Args:
        value: An array or tensor; a mapping by input name; or a tuple or list: the inputs in calling order, maybe
            nested, maybe followed by labels (or any target, which is left aside).
        inputs: The model's inputs.
        preprocessing: For uint8 images.
        where: What to call the batch in messages, for example "batch 3 of loader.py:batches".

    Raises:
        CalibrationError: An input is missing, or an array does not fit.
    """
    arrays, target = _unpack(value, inputs, where)
    return join_columns(arrays, inputs, preprocessing, labels=target, where=where)


def join_columns(
    arrays: Mapping[str, Rows],
    inputs: Sequence[TensorSpec],
    preprocessing: Preprocessing | None,
    *,
    labels: Array | None,
    where: str,
) -> Batch:
    """Fit one array per input and check that all hold the same number of samples.

    Args:
        arrays: input name -> array, in memory or in a file.
        inputs: The model's inputs.
        preprocessing: For uint8 images.
        labels: Any array; whole numbers, one per sample, become class labels, anything else is left aside.
        where: What to call the batch in messages.

    Raises:
        CalibrationError: An array does not fit, or the counts differ.
    """
    columns: dict[str, Column] = {}
    for spec in inputs:
        name = where if len(inputs) == 1 else f"{where}, '{spec.name}',"
        columns[spec.name] = fit_column(arrays[spec.name], spec, preprocessing, where=name)
    counts = {name: column.count for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise CalibrationError(f"{where} holds different numbers of samples per input: {counts}")
    count = next(iter(counts.values()))
    findings = tuple(finding for column in columns.values() for finding in column.findings)
    return Batch(columns, count, _classes(labels, count), findings)


def as_array(value: object, where: str) -> Array:
    """A numpy array of an array, tensor, image or number.

    Raises:
        CalibrationError: It is something else.
    """
    detach = getattr(value, "detach", None)
    if detach is not None:  # a torch tensor, perhaps on a device, perhaps of a type numpy lacks
        value = detach().cpu()
        if "bfloat16" in str(getattr(value, "dtype", "")):
            value = value.float()  # type: ignore[attr-defined]
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CalibrationError(f"{where} holds a {type(value).__name__} that is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise CalibrationError(f"{where} holds a {type(value).__name__} of {array.dtype}, not an array of numbers")
    return array


def _unpack(value: object, inputs: Sequence[TensorSpec], where: str) -> tuple[dict[str, Rows], Array | None]:
    if isinstance(value, Mapping):
        return _unpack_mapping(value, inputs, where)
    if not isinstance(value, tuple | list):
        value = (value,)
    items = tuple(value)
    if len(items) == 2 and isinstance(items[0], tuple | list | Mapping):
        arrays, _ = _unpack(items[0], inputs, where)
        return arrays, _target(items[1])
    if len(items) == 1 and isinstance(items[0], Mapping):
        return _unpack_mapping(items[0], inputs, where)
    if len(items) not in (len(inputs), len(inputs) + 1):
        names = ", ".join(str(spec) for spec in inputs)
        raise CalibrationError(
            f"{where} is a {type(value).__name__} of {len(items)} item(s), "
            f"the model takes {len(inputs)} input(s): {names}",
            hint="yield the inputs in calling order, (inputs, labels), or a dict by input name",
        )
    arrays = {
        spec.name: MemoryRows(as_array(item, f"{where}, item {place}"))
        for place, (spec, item) in enumerate(zip(inputs, items, strict=False))
    }
    return dict(arrays), _target(items[-1]) if len(items) > len(inputs) else None


def _unpack_mapping(
    value: Mapping[object, object], inputs: Sequence[TensorSpec], where: str
) -> tuple[dict[str, Rows], Array | None]:
    names = {spec.name for spec in inputs}
    target = next((value[key] for key in LABEL_KEYS if key in value and key not in names), None)
    missing = sorted(names - {str(key) for key in value})
    rest = [key for key in value if key not in LABEL_KEYS]
    if missing and len(inputs) == 1 and len(rest) == 1:
        return {inputs[0].name: MemoryRows(as_array(value[rest[0]], where))}, _target(target)
    if missing:
        found = ", ".join(str(key) for key in value)
        raise CalibrationError(
            f"{where} has no {', '.join(missing)}; it has {found}", hint="use the model's input names as keys"
        )
    arrays = {spec.name: MemoryRows(as_array(value[spec.name], f"{where}, '{spec.name}',")) for spec in inputs}
    return dict(arrays), _target(target)


def _target(value: object) -> Array | None:
    """A target as an array, or None where it is something nobody can use as labels (boxes, captions, ...)."""
    if value is None or isinstance(value, Mapping | str):
        return None
    try:
        return as_array(value, "target")
    except CalibrationError:
        return None


def _classes(target: Array | None, count: int) -> Array | None:
    if target is None or target.dtype.kind not in "iu" or target.size != count or target.ndim > 2:
        return None
    return target.reshape(count).astype(np.int64)
