"""Streaming comparison of outputs: SQNR, top-1 agreement, LSB gaps.

Every meter takes one sample at a time and keeps a few sums, so that memory does not grow with the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.check.intervals import wilson
from edgekit.types.qparams import Array, QParams
from edgekit.types.report import LsbGap, OutputSignal, Signal
from edgekit.types.spec import TensorSpec


class SqnrMeter:
    """Signal to quantization noise ratio, `10 log10(sum x^2 / sum (x - y)^2)` in dB.

    The mean is not removed, as in ONNX Runtime's `qdq_loss_debug.compute_signal_to_quantization_noice_ratio`.
    """

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0

    def add(self, exact: Array, measured: Array) -> None:
        """Take in two arrays of the same number of elements."""
        self.signal += _energy(exact)
        self.noise += _energy(np.asarray(measured).ravel() - np.asarray(exact).ravel())

    @property
    def db(self) -> float:
        """dB; inf without noise, -inf when all is noise, nan when something was not a number."""
        if math.isnan(self.signal) or math.isnan(self.noise):
            return math.nan
        if self.noise == 0.0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal > 0 else -math.inf


def _energy(array: Array) -> float:
    """Sum of squares in float64, without a float64 copy and without the threads of a BLAS dot product."""
    flat = np.asarray(array).ravel()
    return float(np.einsum("i,i->", flat, flat, dtype=np.float64, casting="safe"))


class LsbMeter:
    """Gap between two computations of the same integers."""

    def __init__(self, first: str, second: str) -> None:
        self.first, self.second = first, second
        self.max_lsb = 0
        self.elements = 0
        self.within_one = 0
        self.samples = 0

    def add(self, first: Mapping[str, Array], second: Mapping[str, Array]) -> None:
        """Take in one sample: value name -> integers of any integer dtype, compared where both have the name."""
        self.samples += 1
        for name in first.keys() & second.keys():
            gaps = np.abs(first[name].astype(np.int64).ravel() - second[name].astype(np.int64).ravel())
            self.max_lsb = max(self.max_lsb, int(gaps.max(initial=0)))
            self.elements += gaps.size
            self.within_one += int(np.count_nonzero(gaps <= 1))

    def result(self, *, where: str = "") -> LsbGap | None:
        """The gap so far; None when nothing was compared."""
        if self.elements == 0:
            return None
        share = self.within_one / self.elements
        return LsbGap(self.first, self.second, self.max_lsb, share, self.elements, self.samples, where)


class SignalMeter:
    """Every output of one file against the float model's."""

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        self._outputs = tuple(outputs)
        self._noise = {spec.name: SqnrMeter() for spec in outputs if spec.dtype.startswith("float")}
        self._equal = {spec.name: [0, 0] for spec in outputs if spec.name not in self._noise}
        self._logits, self._reason = find_logits(outputs)
        self._agreed = 0
        self._samples = 0

    def add(self, exact: Mapping[str, Array], measured: Mapping[str, Array]) -> None:
        """Take in one sample: output name -> reals (or the integers of an integer output)."""
        self._samples += 1
        for name, meter in self._noise.items():
            meter.add(exact[name], measured[name])
        for name, counts in self._equal.items():
            counts[0] += int(np.count_nonzero(exact[name].ravel() == measured[name].ravel()))
            counts[1] += exact[name].size
        if self._logits:
            self._agreed += top1(exact[self._logits]) == top1(measured[self._logits])

    def result(self) -> Signal | None:
        """The comparison so far; None before the first sample."""
        if self._samples == 0:
            return None
        whole = SqnrMeter()
        whole.signal = sum(meter.signal for meter in self._noise.values())
        whole.noise = sum(meter.noise for meter in self._noise.values())
        agreement = wilson(self._agreed, self._samples) if self._logits else None
        return Signal(
            samples=self._samples,
            sqnr_db=whole.db if self._noise else None,
            outputs=tuple(self._output(spec.name) for spec in self._outputs),
            top1_agreement=agreement,
            top1_reason=self._reason,
        )

    def _output(self, name: str) -> OutputSignal:
        if name in self._noise:
            return OutputSignal(name, self._noise[name].db, None)
        equal, count = self._equal[name]
        return OutputSignal(name, None, equal / count if count else 1.0)


def find_logits(outputs: Sequence[TensorSpec]) -> tuple[str, str]:
    """The first output that looks like class scores, (N, C) with C > 1, and otherwise the reason why there is none.

    Returns:
        (output name, ""), or ("", reason).
    """
    for spec in outputs:
        if spec.dtype.startswith("float") and len(spec.shape) == 2 and spec.shape[0] == 1 and spec.shape[1] > 1:
            return spec.name, ""
    shapes = ", ".join(str(spec) for spec in outputs)
    return "", f"no output has the shape (N, C) of class scores: {shapes}"


def top1(logits: Array) -> int:
    """Index of the largest score, the first one on a tie."""
    return int(np.argmax(logits))


def to_reals(array: Array, spec: TensorSpec) -> Array:
    """Reals of a session's input or output: integers that stand for reals are dequantized, all else is unchanged."""
    if spec.scale is None or spec.zero_point is None or array.dtype.kind not in "iu":
        return array
    return (array.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


def to_stored(array: Array, spec: TensorSpec) -> Array:
    """What a session takes for a real input: quantized when the file stores integers there."""
    if spec.scale is None or spec.zero_point is None or array.dtype.kind != "f":
        return array
    return QParams(np.asarray(spec.scale), np.asarray(spec.zero_point), spec.dtype).quantize(array)


def to_integers(reals: Array, params: QParams) -> Array:
    """Integers that reals stand for, int32. Exact for reals that were dequantized with the same scale."""
    return params.quantize(reals).astype(np.int32)
