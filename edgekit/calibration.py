"""Which data decides the scales: the user's, synthesized inputs, or none at all; and the graph that follows from it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.budget import format_of
from edgekit.check.accuracy import Task
from edgekit.check.large import LARGE_BYTES
from edgekit.check.machine import describe_machine
from edgekit.ladder.climb import BASE, Climb, climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.rung import CLIMBS
from edgekit.ladder.scoring import Scorer
from edgekit.load.lint import lint
from edgekit.load.samples import open_samples, split
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.islands import refuse_unmatched
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize_weights
from edgekit.shrink.quantization.weights import refuse_not_finite
from edgekit.simplify.simplification import Simplified
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.ladder import LadderReport, Step
from edgekit.types.plan import Plan
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress
from edgekit.types.qparams import Array
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples
from edgekit.types.spec import TensorSpec
from edgekit.units import size

LEAST_TO_PART = 40
"""With fewer calibrating samples than this, rungs are chosen by the held-back ones."""
SCORED_SHARE = 6
"""One in so many calibrating samples scores rungs instead."""
MOST_SCORED = 24
MOST_LABELLED = 250
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
        ladder: How the graph was arrived at; None without ranges to decide.
        rescaled: Whether its inner values are other than the float file's, since a rung equalized channels.
    """

    quantized: QuantizedGraph
    held_back: Samples
    source: str
    samples: int
    lint: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    preprocessing: Preprocessing | None = None
    ladder: LadderReport | None = None
    rescaled: bool = False


def calibrate(
    simplified: Simplified,
    float_file: Path,
    data: object,
    *,
    preprocessing: Preprocessing | None,
    recipe: Recipe,
    workdir: Path,
    stages: Progress,
    task: Task | None = None,
) -> Calibrated:
    """Choose the data, run the float model over it, quantize, and climb the accuracy ladder.

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
        task: Labelled samples and metric, for the ladder.

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
    climbed = _climb(graph, float_file, chosen, held_back, recipe, workdir=workdir, stages=stages, task=task)
    return Calibrated(
        quantized=climbed.draft.quantized,
        ladder=climbed.report,
        rescaled=climbed.draft.graph is not graph,
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
        quantized=_base(graph, float_file, chosen, recipe, stages).quantized,
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


def _climb(
    graph: Graph,
    float_file: Path,
    samples: SampleSet,
    held_back: SampleSet,
    recipe: Recipe,
    *,
    workdir: Path,
    stages: Progress,
    task: Task | None,
) -> Climb:
    """The base, and the rungs that the effort, the budget and the data allow."""
    effort, budget = recipe.quantize.effort, recipe.budget
    deadline = time.monotonic() + budget.seconds if budget.seconds else math.inf
    idle = _why_no_ladder(graph, recipe)
    if idle:
        base = _base(graph, float_file, samples, recipe, stages)
        return Climb(base, LadderReport(effort, (Step("base", True, BASE),), idle))
    learning, scoring = _part_for_scoring(samples, held_back)
    base = _base(graph, float_file, learning, recipe, stages)
    name = format_of(describe_machine())
    evidence = Evidence(
        samples=learning,
        score=Scorer(graph, scoring, name, workdir, _shortened(task)),
        budget=budget,
        effort=effort,
        workdir=workdir,
        progress=stages,
        seed=recipe.calibration.seed,
        deadline=deadline,
    )
    with stages.stage("climb"):
        return climb(base, evidence, CLIMBS[effort], format=name)


def _why_no_ladder(graph: Graph, recipe: Recipe) -> str:
    """Why the base is all there will be; "" when rungs may be tried."""
    if recipe.quantize.effort == "fast" and not recipe.budget.asks:
        return "effort 'fast' without a budget takes the base rung alone"
    constant_bytes = sum(array.nbytes for array in graph.constants.values())
    if constant_bytes > LARGE_BYTES:
        return f"the model has {size(constant_bytes)} of constants; the rungs would hold several copies of them"
    return ""


def _part_for_scoring(samples: SampleSet, held_back: SampleSet) -> tuple[SampleSet, SampleSet]:
    """Samples to learn from, and others to choose rungs by; the check has its own, unless there are too few for it."""
    if samples.count < LEAST_TO_PART:
        return samples, held_back
    step = max(SCORED_SHARE, math.ceil(samples.count / MOST_SCORED))
    chosen = np.arange(samples.count) % step == step // 2
    return samples.select(np.flatnonzero(~chosen)), samples.select(np.flatnonzero(chosen))


def _shortened(task: Task | None) -> Task | None:
    """At most `MOST_LABELLED` labelled samples, spread over the set: every candidate is run on all of them."""
    if task is None or not isinstance(task.samples, SampleSet) or task.samples.count <= MOST_LABELLED:
        return task
    chosen = np.linspace(0, task.samples.count - 1, MOST_LABELLED).round().astype(np.int64)
    return replace(task, samples=task.samples.select(chosen))


def _base(graph: Graph, float_file: Path, samples: Samples, recipe: Recipe, stages: Progress) -> Draft:
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
    return Draft(graph, histograms, plan)


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
