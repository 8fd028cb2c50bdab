"""Golden answers: each file really run on the golden inputs, and the rule by which a node holds its own against them.

A file is run twice, in processes of its own; one that does not give the same answer twice is no model to be tested by
its answers. What the rule allows follows from what was measured: how far apart files of one quantized graph are on this
machine is how far apart its kernels' roundings can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.bundle.manifest_rules import MOST_STEPS
from edgekit.errors import CheckError
from edgekit.pack.borders import Border, lies_on_grid, off_grid
from edgekit.pack.variants import AUDIT, FLOAT
from edgekit.runtime.agent_process import Trial
from edgekit.types.manifest import Mode, Rule
from edgekit.types.qparams import Array
from edgekit.types.report import LsbGap
from edgekit.types.spec import TensorSpec

FLOAT_TOLERANCE = 1e-3
"""Share of the largest answer by which float kernels may differ: other orders of summation, other exp()."""
MIXED_TOLERANCE = 0.05
"""The same where integers come before: one step of rounding goes through the float layers behind."""


def judge(first: Trial, second: Trial, border: Border, *, name: str) -> tuple[TensorSpec, ...]:
    """See that a file answers, and the same twice.

    Returns:
        Its outputs, without the scales whose grid the answers do not lie on.

    Raises:
        CheckError: An answer is NaN or infinite, or the second run says something else.
    """
    for spec in border.outputs:
        array = first.answers[spec.name]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CheckError(f"{name} answers the golden inputs with NaN or an infinity in '{spec.name}'")
    if first.digest != second.digest:
        far = max(largest_gap(first.answers[spec.name], second.answers[spec.name]) for spec in border.outputs)
        raise CheckError(
            f"{name} does not answer the same twice: two runs on the golden inputs differ by up to {far:.6g}"
        )
    return tuple(
        spec if lies_on_grid(first.answers[spec.name], spec.scale) else off_grid(spec) for spec in border.outputs
    )


def choose_rule(
    format: str,
    runtime: str,
    outputs: Sequence[TensorSpec],
    arrays: Mapping[str, Array],
    *,
    measured_lsb: int,
    is_all_integer: bool,
) -> Rule:
    """The rule for a file.

    Args:
        format: Of the file.
        runtime: That runs it.
        outputs: As `judge` returns them.
        arrays: Its answers.
        measured_lsb: How far apart it and others of its graph were measured to be, steps of the output.
        is_all_integer: Whether every node of the graph computes on integers.

    Returns:
        EXACT for the file for audits, and where the answers are integers that stand for no reals; LSB where they stand
        for some, with one step more than was measured, for kernels that are not here, and no more than a manifest may
        allow; ATOL elsewhere.
    """
    labels = all(spec.scale is None and not spec.dtype.startswith("float") for spec in outputs)
    on_grid = all(spec.scale is not None or not spec.dtype.startswith("float") for spec in outputs)
    if labels or (format == AUDIT and on_grid and is_all_integer):
        return Rule(runtime, Mode.EXACT)
    if on_grid:
        return Rule(runtime, Mode.LSB, float(min(max(1, measured_lsb) + 1, MOST_STEPS)))
    largest = max((float(np.abs(arrays[spec.name]).max(initial=0.0)) for spec in outputs), default=0.0)
    is_float = format == FLOAT or format.endswith("int4")
    share = FLOAT_TOLERANCE if is_float else MIXED_TOLERANCE
    return Rule(runtime, Mode.ATOL, float(f"{share * max(largest, 1e-6):.3g}"))


def reported_lsb(format: str, reference: LsbGap | None, pairs: Sequence[LsbGap]) -> int:
    """The largest gap that the report has of a file, to the reference and to its siblings, steps of the output."""
    gaps = [pair.max_lsb for pair in pairs if format in (pair.first, pair.second)]
    return max([*gaps, reference.max_lsb if reference else 0], default=0)


def gap_lsb(outputs: Sequence[TensorSpec], mine: Mapping[str, Array], theirs: Mapping[str, Array]) -> int:
    """How far apart the answers of two files are, in steps; 0 where their outputs cannot be compared so."""
    largest = 0.0
    for spec in outputs:
        array, other = mine[spec.name], theirs.get(spec.name)
        comparable = other is not None and (other.shape, other.dtype) == (array.shape, array.dtype)
        if other is None or not comparable or spec.scale is None:
            continue
        step = spec.scale if array.dtype.kind == "f" else 1.0
        largest = max(largest, largest_gap(array, other) / step)
    return round(largest)


def largest_gap(mine: Array, theirs: Array) -> float:
    """The largest absolute difference of two arrays of one shape."""
    return float(np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))
