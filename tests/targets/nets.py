"""Small nets with what calibration saw of them, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edgekit.emit.exporter import float_artifact
from edgekit.load.trace import trace
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.types.artifact import Artifact
from edgekit.types.plan import Plan
from edgekit.types.sample_set import SampleSet


@dataclass(frozen=True)
class Calibrated:
    """A float graph and what was observed of it."""

    graph: object
    histograms: dict
    samples: list

    def quantize(self, plan=None):
        return quantize(self.graph, self.histograms, plan or Plan())

    def write_float(self, folder: Path) -> Artifact:
        return float_artifact(self.graph, folder / "model.fp32.onnx", metadata={})


@cache
def calibrate(name, count):
    """A net of the table, calibrated on `count` samples."""
    return calibrate_module(build(name), NETS[name].inputs, sample_inputs(name, count), name=name)


def calibrate_module(module, specs, samples, *, name):
    with TemporaryDirectory() as folder:
        source = Path(folder) / "traced.onnx"
        trace(module, specs, source)
        graph = simplify(source, name=name).graph
        float_file = float_artifact(graph, Path(folder) / "float.onnx", metadata={})
        histograms = observe(open_onnx(float_file.path, taps=observed_values(graph)), graph, samples)
    return Calibrated(graph, histograms, samples)


def sample_set(samples):
    return SampleSet(np.arange(len(samples)), lambda position: samples[position], "drawn")
