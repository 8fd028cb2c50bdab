"""int8 or int4 weights with float activations: what needs no ranges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.calibration.calibrated import Calibrated
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.constants import separate_roles
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.shrink.quantization.int4_findings import int4_findings
from edgekit.shrink.quantization.int4_options import int4_layers
from edgekit.shrink.quantization.moments import gather
from edgekit.shrink.quantization.quantize import quantize_weights
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph
from edgekit.types.progress import Progress
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples

_PASS_DATA = "pass 100 or more real inputs with --calibration; labels are not needed"


def store_int8(
    graph: Graph,
    held_back: Samples,
    *,
    source: str,
    asked: bool,
    histograms: Mapping[str, Histogram] | None = None,
    samples: int = 0,
) -> Calibrated:
    """int8 weights alone.

    Args:
        graph: The float graph.
        held_back: For the check.
        source: Where they came from.
        asked: Whether the recipe wants it so; else it is for want of data.
        histograms: What was observed, for the biases; None without data.
        samples: How many were observed.
    """
    reason = "weight-only int8" if asked else "weight-only int8: no calibration data and no BatchNorm statistics"
    finding = Finding(
        "weight-only",
        "only the weights are int8; activations stay float, so the file shrinks but nothing runs faster"
        + ("" if asked else ": there is no calibration data, and no BatchNorm to synthesize inputs from"),
        Severity.NOTE if asked else Severity.WARNING,
        hint="" if asked else _PASS_DATA,
    )
    quantized = quantize_weights(graph, reason=reason, histograms=histograms)
    return Calibrated(quantized, held_back, source, samples, findings=(finding,))


def store_int4(
    graph: Graph, float_file: Path, samples: SampleSet | None, held_back: Samples, *, seed: int, progress: Progress
) -> Calibrated:
    """int4 weights, rounded by what their layers read where there is data to tell.

    Args:
        graph: The float graph.
        float_file: The same as an ONNX file.
        samples: To gather the layers' inputs from, or None.
        held_back: For the check.
        seed: Of the positions looked at.
        progress: Who watches.
    """
    graph = separate_roles(graph)
    if samples is None:
        quantized = quantize_int4(graph)
        return Calibrated(quantized, held_back, "none", 0, findings=int4_findings(quantized, informed=False))
    layers = int4_layers(graph)
    read = dict.fromkeys(node.inputs[0] for layer in layers for node in layer.nodes)
    session = open_onnx(float_file, taps=tuple(name for name in read if name in graph.producers))
    with progress.stage("calibrate", samples.count) as stage:
        moments = gather(graph, layers, session.run, samples, count=samples.count, seed=seed, advance=stage.advance)
        quantized = quantize_int4(graph, moments)
    findings = int4_findings(quantized, informed=True)
    return Calibrated(quantized, held_back, samples.source, samples.count, findings=findings)
