"""The files that edgekit makes of a net of the catalogue, made once."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import edgekit
from benchmarks.nets.catalogue import NETS, prepare

SAMPLES = 200


def compressed(name: str) -> Path:
    """Folder with model.fp32.onnx, model.int8.tflite, and the int8 .onnx files: plain, x86, qop, arm."""
    source = prepare(name)
    out = source / "compressed"
    if not (out / "model.arm.int8.onnx").exists():
        samples = list(islice(NETS[name].calibration(), SAMPLES))
        recipe = edgekit.Recipe().with_fields({"emit.targets": ["arm"]})
        edgekit.compress(source / "float.onnx", calibration=samples, out=out, recipe=recipe)
    return out
