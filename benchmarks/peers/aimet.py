"""AIMET's ONNX quantization simulation, exported as a QDQ file whose weights are int8 and biases int32."""

from __future__ import annotations

import onnx
from aimet_onnx import QuantizationSimModel
from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight

from benchmarks.peers.task import Task


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file; the setting is AIMET's name of how ranges are chosen."""
    model = onnx.load(task.float_onnx)
    fold_all_batch_norms_to_weight(model)
    simulation = QuantizationSimModel(model, quant_scheme=setting)
    simulation.compute_encodings(task.feeds())
    onnx.save(simulation.to_onnx_qdq(export_int32_bias=True, prequantize_constants=True), task.result)
