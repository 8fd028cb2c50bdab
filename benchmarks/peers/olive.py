"""Olive's `OnnxStaticQuantization` pass with its defaults, alone: no search, no other pass."""

from __future__ import annotations

import shutil
from pathlib import Path

from olive.data.config import DataComponentConfig, DataConfig
from olive.data.registry import Registry
from olive.model import ONNXModelHandler
from olive.passes.olive_pass import create_pass_from_dict
from olive.passes.onnx.quantization import OnnxStaticQuantization

from benchmarks.peers.task import INPUT, Array, Task


class Calibration:
    """The race's samples as Olive wants a data set: indexed, each a pair of feeds and a label that nobody reads."""

    def __init__(self, task: Task) -> None:
        self._samples = list(task.samples())

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[dict[str, Array], int]:
        return {INPUT: self._samples[index]}, 0


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file."""
    assert setting == "static"

    @Registry.register_dataset("race_calibration")  # type: ignore[untyped-decorator]
    def _load(**_: object) -> Calibration:
        return Calibration(task)

    data = DataConfig(
        name="race",
        load_dataset_config=DataComponentConfig(type="race_calibration"),
        dataloader_config=DataComponentConfig(type="no_auto_batch_dataloader"),
    )
    quantization = create_pass_from_dict(OnnxStaticQuantization, {"data_config": data}, disable_search=True)
    result = quantization.run(ONNXModelHandler(str(task.float_onnx)), str(task.out / "olive"))
    shutil.copyfile(Path(result.model_path), task.result)
