"""Does the ONNX file say what the torch module says? Asked right after export, on one seeded random input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils import _pytree as pytree

from edgekit.errors import ParityError
from edgekit.load.call import Call
from edgekit.runtime.ort import open_onnx
from edgekit.types.qparams import Array

RELATIVE = 1e-4
"""Allowed |difference| / max |reference|: float32 kernels that add in another order stay below 1e-5 on deep nets."""

UNEQUAL = 0.01
"""Allowed share of differing entries in an integer output: an argmax may tip where two scores are equal in float32."""


def check_parity(path: Path, call: Call, results: Mapping[str, Tensor]) -> None:
    """Run the file in ONNX Runtime on the arguments of `call` and compare.

    Args:
        path: The ONNX file.
        call: Arguments whose tensors are called `call.specs`.
        results: What torch gave: output name -> tensor.

    Raises:
        ParityError: An output differs by more than `RELATIVE` (floats) or `UNEQUAL` (integers).
        ModelLoadError: ONNX Runtime cannot load the file.
    """
    leaves = [leaf for leaf in pytree.tree_leaves((call.args, call.kwargs)) if isinstance(leaf, Tensor)]
    feeds = {spec.name: leaf.numpy() for spec, leaf in zip(call.specs, leaves, strict=True)}
    got = open_onnx(path).run(feeds)
    compare({name: tensor.numpy() for name, tensor in results.items()}, got, where=path.name)


def compare(wanted: Mapping[str, Array], got: Mapping[str, Array], *, where: str) -> None:
    """Compare outputs by name.

    Raises:
        ParityError: As `check_parity`, or a shape differs, or NaNs are in other places.
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
