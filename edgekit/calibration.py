"""Which data decides the scales: the user's, synthesized inputs, or none at all; and the graph that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.load.lint import lint
from edgekit.load.samples import open_samples, split
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.islands import refuse_unmatched
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize, quantize_weights
from edgekit.shrink.quantization.weights import refuse_not_finite
from edgekit.simplify.simplification import Simplified
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.plan import Plan
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress
from edgekit.types.qparams import Array
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples
from edgekit.types.spec import TensorSpec

SYNTHESIZED = 16
"""Inputs synthesized when there is no data: half calibrate, half check."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The decided graph, and what it was decided on.

    Attributes:
        quantized: The graph every file is written from.
        held_back: Inputs that did not calibrate, for the check.
        source: Where the inputs came from, for the report.
        samples: How many calibrated.
        lint: What is odd about them.
        findings: What choosing them this way costs.
        preprocessing: How an image becomes an input, when the inputs were images.
    """

    quantized: QuantizedGraph
    held_back: Samples
    source: str
    samples: int
    lint: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    preprocessing: Preprocessing | None = None


def calibrate(
    simplified: Simplified,
    float_file: Path,
    data: object,
    *,
    preprocessing: Preprocessing | None,
    recipe: Recipe,
    workdir: Path,
    stages: Progress,
) -> Calibrated:
    """Choose the data, run the float model over it, and quantize.

    1. The user's data is linted first, then split; the held-back part never meets the calibrator.
    2. Without data, inputs are synthesized to match the BatchNorm statistics.
    3. Without statistics, or when the recipe asks for it, only the weights become int8.

    Args:
        simplified: The clean float graph with the BatchNorm statistics it had.
        float_file: The same graph as an ONNX file.
        data: What the user handed over, or None.
        preprocessing: For images.
        recipe: Counts, seed and how to quantize.
        workdir: For temporary files.
        stages: Told of linting, synthesis and calibration.

    Raises:
        ModelLoadError: A weight holds NaN or infinity.
        RecipeError: `quantize.float_modules` names a module that is not there.
        CalibrationError: The data is empty, not finite, or does not fit the model.
    """
    graph = simplified.graph
    refuse_not_finite(graph)
    refuse_unmatched(graph, recipe.quantize.float_modules)
    specs = tuple(graph.spec(name) for name in graph.inputs)
    if data is None:
        return _without_data(simplified, float_file, recipe, specs, stages)
    settings = recipe.calibration
    opened = open_samples(
        data, inputs=specs, workdir=workdir, preprocessing=preprocessing, limit=settings.samples, seed=settings.seed
    )
    with stages.stage("look at the data"):
        odd = (*opened.findings, *lint(opened, specs, expectations=simplified.batchnorms, graph=graph))
    if recipe.quantize.weight_only:
        weights = _weights_only(graph, opened, source=opened.source, asked=True)
        return replace(weights, lint=odd, preprocessing=opened.preprocessing)
    chosen, held_back = split(opened, held_back=settings.held_back)
    return Calibrated(
        quantized=_quantize(graph, float_file, chosen, recipe, stages),
        held_back=held_back,
        source=opened.source,
        samples=chosen.count,
        lint=odd,
        findings=held_back.findings,
        preprocessing=opened.preprocessing,
    )


def _without_data(
    simplified: Simplified,
    float_file: Path,
    recipe: Recipe,
    specs: tuple[TensorSpec, ...],
    stages: Progress,
) -> Calibrated:
    graph = simplified.graph
    made = None
    if not recipe.quantize.weight_only and simplified.batchnorms:
        from edgekit.shrink.synthesis.synthesize import synthesize  # torch: only this path needs it

        with stages.stage("synthesize inputs"):
            made = synthesize(graph, simplified.batchnorms, count=SYNTHESIZED, seed=recipe.calibration.seed)
    if made is None:
        noise = _noise(specs, SYNTHESIZED, recipe.calibration.seed)
        return _weights_only(graph, noise, source="none", asked=recipe.quantize.weight_only)
    chosen, held_back = split(made, held_back=0.5)
    finding = Finding(
        "calibrated-without-data",
        f"no calibration data: the ranges come from {chosen.count} inputs synthesized to match the BatchNorm "
        "statistics, and the check ran on synthesized inputs too, so its agreement says little about real ones",
        Severity.WARNING,
        hint="pass 100 or more real inputs with --calibration; labels are not needed",
    )
    return Calibrated(
        quantized=_quantize(graph, float_file, chosen, recipe, stages),
        held_back=held_back,
        source="synthesized from BatchNorm statistics",
        samples=chosen.count,
        findings=(finding,),
    )


def _weights_only(graph: Graph, samples: Samples, *, source: str, asked: bool) -> Calibrated:
    """No range is needed, so every sample is left for the check."""
    reason = "weight-only int8" if asked else "weight-only int8: no calibration data and no BatchNorm statistics"
    finding = Finding(
        "weight-only",
        "only the weights are int8; activations stay float, so the file shrinks but nothing runs faster"
        + ("" if asked else ": there is no calibration data, and no BatchNorm to synthesize inputs from"),
        Severity.NOTE if asked else Severity.WARNING,
        hint="" if asked else "pass 100 or more real inputs with --calibration; labels are not needed",
    )
    return Calibrated(
        quantized=quantize_weights(graph, reason=reason),
        held_back=samples,
        source=source,
        samples=0,
        findings=(finding,),
    )


def _quantize(graph: Graph, float_file: Path, samples: Samples, recipe: Recipe, stages: Progress) -> QuantizedGraph:
    with stages.stage("calibrate", samples.count) as stage:
        session = open_onnx(float_file, taps=observed_values(graph))
        histograms = observe(session, graph, samples, advance=stage.advance)
    settings = recipe.quantize
    plan = Plan(
        method=settings.range,
        scheme="pair-safe" if settings.pair_safe else "full",
        correct_bias=settings.bias_correction,
        float_modules=settings.float_modules,
    )
    return quantize(graph, histograms, plan)


def _noise(specs: tuple[TensorSpec, ...], count: int, seed: int) -> SampleSet:
    """Standard normal inputs (integers: 0 and 1), when nothing is known of the real ones."""

    def read(index: int) -> dict[str, Array]:
        rng = np.random.default_rng((seed, index))
        return {
            spec.name: rng.standard_normal(spec.shape).astype(spec.dtype)
            if spec.dtype.startswith("float")
            else rng.integers(0, 2, spec.shape).astype(spec.dtype)
            for spec in specs
        }

    return SampleSet(np.arange(count), read, "random noise")
