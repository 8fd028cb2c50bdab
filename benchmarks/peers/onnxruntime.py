"""ONNX Runtime's own `quantize_static`, after its own pre-processing, with the settings its documentation offers.

The histogram calibrators (entropy, percentile) keep every intermediate value of every sample before they bin: 63 MB a
photo at 224x224. They get 32 samples of inputs that large, and all 200 of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.peers.task import Array, Task

LARGE_INPUT = 100_000
"""Numbers in one sample above which a histogram calibrator gets HISTOGRAM_SAMPLES only."""
HISTOGRAM_SAMPLES = 32


@dataclass(frozen=True)
class Setting:
    """Arguments of `quantize_static` in which the settings differ."""

    method: CalibrationMethod = CalibrationMethod.MinMax
    weights: QuantType = QuantType.QInt8
    reduce_range: bool = False


SETTINGS = {
    "minmax": Setting(),
    "reduce_range": Setting(reduce_range=True),
    "u8u8": Setting(weights=QuantType.QUInt8),
    "entropy": Setting(method=CalibrationMethod.Entropy),
    "percentile": Setting(method=CalibrationMethod.Percentile),
}


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The race's samples as ONNX Runtime asks for them."""

    def __init__(self, feeds: Iterator[dict[str, Array]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Array] | None:
        """One sample, None at the end."""
        return next(self._feeds, None)


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file."""
    if setting == "stock":
        quantize_static(task.float_onnx, task.result, Reader(task.feeds()))
        return
    chosen = SETTINGS[setting]
    prepared = task.out / "prepared.onnx"
    quant_pre_process(task.float_onnx, prepared)
    is_histogram = chosen.method is not CalibrationMethod.MinMax
    is_large = next(task.samples()).size > LARGE_INPUT
    quantize_static(
        prepared,
        task.result,
        Reader(task.feeds(HISTOGRAM_SAMPLES if is_histogram and is_large else None)),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=chosen.weights,
        reduce_range=chosen.reduce_range,
        calibrate_method=chosen.method,
    )
