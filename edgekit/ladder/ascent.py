"""From calibration data to the end of the ladder: the base, who scores, and how far the rungs may go."""

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
from edgekit.ladder.climb import BASE, climb
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.rung import CLIMBS
from edgekit.ladder.scoring import Scorer
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.graph import Graph
from edgekit.types.ladder import LadderReport, Step
from edgekit.types.plan import Plan
from edgekit.types.progress import Progress
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples
from edgekit.units import size

LEAST_TO_PART = 40
"""With fewer calibrating samples than this, rungs are chosen by the held-back ones."""
SCORED_SHARE = 6
"""One in so many calibrating samples scores rungs instead."""
MOST_SCORED = 24
INTEGER_ONLY = ("qnn",)
"""Targets that do not compute in float fast themselves."""
MOST_LABELLED = 250
"""Labelled samples that every candidate is run on, at most."""


@dataclass(frozen=True, eq=False)
class Ascent:
    """The data, parted, and who is told.

    Attributes:
        graph: The simplified float graph.
        float_file: The same as an ONNX file.
        samples: That may calibrate.
        held_back: That never do.
        recipe: Settings.
        workdir: For temporary files.
        progress: Who watches.
        task: Labelled samples and metric, or None.
    """

    graph: Graph
    float_file: Path
    samples: SampleSet
    held_back: SampleSet
    recipe: Recipe
    workdir: Path
    progress: Progress
    task: Task | None = None

    def run(self) -> tuple[Draft, LadderReport, Evidence]:
        """The best draft, how it was arrived at, and what its rungs looked at."""
        settings, budget = self.recipe.quantize, self.recipe.budget
        begun = time.monotonic()
        idle = self._why_no_rungs()
        learning, scoring = (self.samples, self.held_back) if idle else _part(self.samples, self.held_back)
        name = format_of(describe_machine())
        evidence = Evidence(
            samples=learning,
            score=Scorer(self.graph, scoring, name, self.workdir, _shortened(self.task)),
            budget=budget,
            effort=settings.effort,
            workdir=self.workdir,
            progress=self.progress,
            seed=self.recipe.calibration.seed,
            deadline=begun + budget.seconds if budget.seconds else math.inf,
            integer_borders=_why_integer_borders(self.recipe),
        )
        base = calibrate_base(self.graph, self.float_file, learning, self.recipe, self.progress)
        if idle:
            return base, LadderReport(settings.effort, (Step("base", True, BASE),), idle), evidence
        with self.progress.stage("climb"):
            climbed = climb(base, evidence, CLIMBS[settings.effort], format=name)
        return climbed.draft, climbed.report, evidence

    def _why_no_rungs(self) -> str:
        """Why the base is all there will be; "" when rungs may be tried."""
        if self.recipe.quantize.effort == "fast" and not self.recipe.budget.asks:
            return "effort 'fast' without a budget takes the base rung alone"
        floats = any(self.graph.dtype(name).startswith("float") for name in self.graph.outputs)
        if not floats and self.task is None:
            return "no output is a float, and there are no labels: nothing tells candidates apart"
        constant_bytes = sum(array.nbytes for array in self.graph.constants.values())
        if constant_bytes > LARGE_BYTES:
            return f"the model has {size(constant_bytes)} of constants; rungs would hold several copies of them"
        return ""


def _why_integer_borders(recipe: Recipe) -> str:
    accelerators = [name for name in recipe.emit.targets if name in INTEGER_ONLY]
    if recipe.emit.io == "int8":
        return "integer inputs and outputs were asked for"
    if accelerators:
        return f"{' and '.join(accelerators)} would leave float layers to another processor"
    return ""


def calibrate_base(graph: Graph, float_file: Path, samples: Samples, recipe: Recipe, progress: Progress) -> Draft:
    """One pass of the float model over the samples, and the plan the recipe asks for."""
    with progress.stage("calibrate", samples.count) as stage:
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


def _part(samples: SampleSet, held_back: SampleSet) -> tuple[SampleSet, SampleSet]:
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
