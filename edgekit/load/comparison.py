"""Are two results the same up to rounding? Used wherever a float file is held against what it was made from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.errors import ParityError
from edgekit.types.qparams import Array

RELATIVE = 1e-4
"""Allowed |difference| / max |reference|: float32 kernels that add in another order stay below 1e-5 on deep nets."""

UNEQUAL = 0.01
"""Allowed share of differing entries in an integer output: an argmax may tip where two scores are equal in float32."""


def compare(wanted: Mapping[str, Array], got: Mapping[str, Array], *, where: str) -> None:
    """Compare outputs by name.

    Raises:
        ParityError: An output differs by more than `RELATIVE` (floats) or `UNEQUAL` (integers), a shape differs, or
            NaNs are in other places.
    """
    for name, reference in wanted.items():
        measured, limit = distance(reference, got[name])
        if not measured <= limit:
            raise ParityError(
                f"output '{name}' of {where} differs from the source model",
                measured=measured,
                limit=limit,
                hint="please report this model's operators; the exporter or ONNX Runtime computes one of them wrongly",
            )


def distance(reference: Array, got: Array) -> tuple[float, float]:
    """Difference of two outputs and its limit: relative to the largest value for floats, share of entries for integers.

    >>> distance(np.float32([1.0, 2.0]), np.float32([1.0, 2.0]))
    (0.0, 0.0001)
    """
    if reference.shape != got.shape:
        return float("inf"), 0.0
    if not np.issubdtype(reference.dtype, np.floating):
        return float(np.mean(reference != got)) if reference.size else 0.0, UNEQUAL
    finite = np.isfinite(reference)
    if not np.array_equal(reference[~finite], got[~finite], equal_nan=True):
        return float("inf"), RELATIVE
    wide, other = reference[finite].astype(np.float64), got[finite].astype(np.float64)
    if wide.size == 0:
        return 0.0, RELATIVE
    return float(np.abs(wide - other).max() / max(float(np.abs(wide).max()), 1e-6)), RELATIVE
