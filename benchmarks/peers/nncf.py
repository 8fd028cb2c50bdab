"""NNCF's post-training quantization of an ONNX model, as its documentation shows it."""

from __future__ import annotations

import nncf
import onnx

from benchmarks.peers.task import Task


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file; `mixed` is the preset with asymmetric activations, `default` leaves the choice to NNCF."""
    dataset = nncf.Dataset(list(task.feeds()))
    preset = nncf.QuantizationPreset.MIXED if setting == "mixed" else None
    model_type = nncf.ModelType.TRANSFORMER if task.net.name == "encoder" else None
    quantized = nncf.quantize(onnx.load(task.float_onnx), dataset, preset=preset, model_type=model_type)
    onnx.save(quantized, task.result)
