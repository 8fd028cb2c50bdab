"""The files that edgekit makes of a net of the catalogue, made once."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import edgekit
from benchmarks.nets.catalogue import NETS, prepare

SAMPLES = 200


def compressed(name: str) -> Path:
    """Folder with model.fp32.onnx, model.int8.onnx, model.x86.int8.onnx, model.qop.int8.onnx and model.int8.tflite."""
    source = prepare(name)
    out = source / "compressed"
    if not (out / "model.int8.tflite").exists():
        samples = list(islice(NETS[name].calibration(), SAMPLES))
        edgekit.compress(source / "float.onnx", calibration=samples, out=out)
    return out
