"""AMD Quark's ONNX quantizer with its `A8W8` preset."""

from __future__ import annotations

from collections.abc import Iterator

from onnxruntime.quantization import CalibrationDataReader
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config import Config, get_default_config

from benchmarks.peers.task import Array, Task


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The race's samples, from the start again when Quark asks for another pass."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.reset_iter()

    def reset_iter(self) -> None:
        """Begin anew."""
        self._feeds: Iterator[dict[str, Array]] = self._task.feeds()

    def get_next(self) -> dict[str, Array] | None:
        """One sample, None at the end."""
        return next(self._feeds, None)


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file."""
    config = Config(global_quant_config=get_default_config(setting.upper()))
    ModelQuantizer(config).quantize_model(str(task.float_onnx), str(task.result), Reader(task))
