"""check_exporter: does a file format say what the quantized graph says, operator by operator?

For people who write an exporter: give the function that writes a file and the one that opens it in its runtime, and
every operator of the dialect is written, run and compared with the NumPy reference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from edgekit.errors import ParityError
from edgekit.runtime.reference import ReferenceSession
from edgekit.runtime.session import Session
from edgekit.testing.case import Case
from edgekit.testing.single_op import catalogue
from edgekit.types.graph import QuantizedGraph
from edgekit.types.operators import OPERATORS
from edgekit.types.qparams import Array, QParams

LSB_BOUNDS: Mapping[str, int] = dict.fromkeys(OPERATORS, 1)
"""operator -> most steps of its output scale that a runtime may differ from the reference by.

One step each, which is what a second rounding or an exact half costs (gemmlowp's fixed-point multiplier, float32
multipliers, an average divided before it is scaled). Over 100 random cases per operator, ONNX Runtime 1.32 needs it
for AveragePool, linear Resize, LeakyRelu, Clip and Mul; LiteRT 2.3 with XNNPACK also for Requantize, MatMul,
ConvTranspose, PRelu, HardSwish and some islands; LiteRT's own kernels for every linear operator and mean too.
"""

FLOAT_TOLERANCE = 1e-4
"""Most that a float result may differ by, relative to the largest magnitude in it."""


class Write(Protocol):
    """What an exporter is: writes one file."""

    def __call__(self, quantized: QuantizedGraph, path: Path, *, io: str, metadata: Mapping[str, str]) -> object:
        """Write `quantized` to `path` with float or integer borders."""
        ...


def check_exporter(
    write: Write,
    open_session: Callable[[Path], Session],
    *,
    operators: Collection[str] | None = None,
    suffix: str = "",
    bounds: Mapping[str, int] = LSB_BOUNDS,
) -> dict[str, float]:
    """Run a case of every operator and attribute family through an exporter and its runtime.

    Args:
        write: Writes a file.
        open_session: Opens it.
        operators: Operators to check; all of the dialect by default.
        suffix: File name ending the runtime wants, for example ".onnx".
        bounds: Largest difference allowed, per operator, in steps of the output's scale.

    Returns:
        operator -> largest difference seen, in steps.

    Raises:
        ParityError: A result differs by more than its bound; the message names the case and the output.
    """
    worst: dict[str, float] = {}
    for case in catalogue():
        if operators is None or case.op in operators:
            measured = check_case(case, write, open_session, suffix=suffix, limit=bounds[case.op])
            worst[case.op] = max(measured, worst.get(case.op, 0.0))
    return worst


def check_case(
    case: Case,
    write: Write,
    open_session: Callable[[Path], Session],
    *,
    suffix: str = "",
    limit: float,
    io: str = "float",
) -> float:
    """Write, run and compare one case.

    Args:
        case: What to run.
        write: Writes a file.
        open_session: Opens it.
        suffix: File name ending.
        limit: Largest difference allowed in steps.
        io: Borders of the file: "float", or "int8" for the integers themselves.

    Returns:
        The difference, as `difference` measures it.

    Raises:
        ParityError: It is beyond `limit`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{suffix}"
        write(case.quantized, path, io=io, metadata={})
        session, table = open_session(path), case.quantized.qparams
        if io == "float":
            results = session.run(case.feeds)
        else:
            stored = session.run({name: _stored(table.get(name), array) for name, array in case.feeds.items()})
            results = {name: _reals(table.get(name), array) for name, array in stored.items()}
    expected = ReferenceSession(case.quantized).run(case.feeds)
    measured = difference(case.quantized, results, expected)
    if measured > limit:
        raise ParityError(f"{case.label} differs from the reference in LSB", measured=measured, limit=limit)
    return measured


def _stored(qparams: QParams | None, array: Array) -> Array:
    return array if qparams is None else qparams.quantize(array)


def _reals(qparams: QParams | None, array: Array) -> Array:
    return array if qparams is None else qparams.dequantize(array)


def difference(quantized: QuantizedGraph, results: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """Largest difference of any output, in steps of the output's scale.

    A float output without QParams counts `FLOAT_TOLERANCE` of its largest magnitude as one step; an integer output
    (an index) counts every unit. Two results that are not both finite, or of different shapes, are infinitely apart.

    Args:
        quantized: The graph that both sides ran.
        results: Of the runtime.
        expected: Of the reference.
    """
    return max(_steps(quantized, name, results[name], array) for name, array in expected.items())


def _steps(quantized: QuantizedGraph, name: str, result: Array, expected: Array) -> float:
    if result.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    params = quantized.qparams.get(name)
    apart = np.abs(result.astype(np.float64) - expected)
    if not np.isfinite(apart).all():
        return float("inf")
    if params is not None:
        return float(np.rint(apart.max() / float(params.scale)))
    if np.issubdtype(expected.dtype, np.floating):
        return float(apart.max() / (FLOAT_TOLERANCE * max(float(np.abs(expected).max()), 1e-6)))
    return float(apart.max())
