"""Which road leads to the quantized graph: the user's data, synthesized inputs, another tool, or no ranges at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.calibration.calibrated import Calibrated
from edgekit.calibration.elsewhere import ask_backend, keep_trained, take_over
from edgekit.calibration.weights_only import store_int4, store_int8
from edgekit.check.accuracy import Task
from edgekit.errors import RecipeError
from edgekit.ladder.ascent import Ascent, calibrate_base
from edgekit.load.lint import lint
from edgekit.load.sample_digest import DigestedSamples
from edgekit.load.samples import split
from edgekit.shrink.quantization.islands import refuse_unmatched
from edgekit.shrink.quantization.weights import refuse_not_finite
from edgekit.simplify.simplification import Simplified
from edgekit.types.decided import Decided
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.progress import Progress
from edgekit.types.qparams import Array
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec

SYNTHESIZED = 16
"""Inputs synthesized when there is no data: half calibrate, half check."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """One model on its way to integers.

    Attributes:
        simplified: The clean float graph with the BatchNorm statistics it had.
        float_file: The same graph as an ONNX file.
        recipe: Counts, seed, effort, budget and how to quantize.
        workdir: For temporary files.
        progress: Told of linting, synthesis and calibration.
        task: Labelled samples and metric, for the ladder.
        imported: What the source file's own tool decided, when it was quantized already.
        decided: What training decided, when the source was trained with its scales.
    """

    simplified: Simplified
    float_file: Path
    recipe: Recipe
    workdir: Path
    progress: Progress
    task: Task | None = None
    imported: Imported | None = None
    decided: Decided | None = None

    def run(self, data: SampleSet | None) -> Calibrated:
        """Decide every integer.

        1. A source that was quantized already, or trained with its scales, keeps its numbers.
        2. The user's data is linted, then split; the held-back part never meets a calibrator.
        3. Without data, inputs are synthesized to match the BatchNorm statistics.
        4. Without statistics, or when the recipe asks for it, only the weights become integers.

        Args:
            data: The user's samples, or None.

        Raises:
            ModelLoadError: A weight holds NaN or infinity.
            RecipeError: `quantize.float_modules` names a module that is not there; a backend without data.
            CalibrationError: The data is empty, not finite, or does not fit the model.
        """
        refuse_not_finite(self.simplified.graph)
        refuse_unmatched(self.simplified.graph, self.recipe.quantize.float_modules)
        if data is None:
            return self._without_data()
        specs = tuple(self._graph.spec(name) for name in self._graph.inputs)
        with self.progress.stage("look at the data"):
            watched = DigestedSamples(data)
            odd = lint(watched, specs, expectations=self.simplified.batchnorms, graph=self._graph)
        return replace(
            self._from_data(data),
            lint=(*data.findings, *odd),
            preprocessing=data.preprocessing,
            digest=watched.digest,
        )

    @property
    def _graph(self) -> Graph:
        return self.simplified.graph

    def _from_data(self, data: SampleSet) -> Calibrated:
        settings, source = self.recipe.quantize, data.source
        if self.decided is not None:
            return keep_trained(self.decided, data, source=source)
        if self.imported is not None:
            return self._take_over(self.imported, data, source)
        if settings.weight_only and not settings.bias_correction:
            return store_int8(self._graph, data, source=source, asked=True)
        chosen, held_back = split(data, held_back=self.recipe.calibration.held_back)
        if settings.weight_only:
            base = calibrate_base(self._graph, self.float_file, chosen, self.recipe, self.progress)
            seen, count = base.histograms, chosen.count
            found = store_int8(self._graph, held_back, source=source, asked=True, histograms=seen, samples=count)
        elif settings.weight_bits == 4:
            found = self._store_int4(chosen, held_back)
        elif settings.backend != "edgekit":
            found = ask_backend(
                self._graph,
                self.float_file,
                chosen,
                held_back,
                recipe=self.recipe,
                workdir=self.workdir,
                progress=self.progress,
            )
        else:
            found = self._climb(chosen, held_back)
        return replace(found, findings=(*found.findings, *held_back.findings))

    def _take_over(self, imported: Imported, samples: SampleSet, source: str) -> Calibrated:
        patterns = self.recipe.quantize.float_modules
        return take_over(self._graph, imported, samples, source=source, float_modules=patterns)

    def _climb(self, chosen: SampleSet, held_back: SampleSet) -> Calibrated:
        ascent = Ascent(
            self._graph, self.float_file, chosen, held_back, self.recipe, self.workdir, self.progress, self.task
        )
        draft, report, evidence = ascent.run()
        return Calibrated(
            draft.quantized,
            held_back,
            chosen.source,
            chosen.count,
            ladder=report,
            rescaled=draft.graph is not self._graph,
            draft=draft,
            evidence=evidence,
        )

    def _without_data(self) -> Calibrated:
        settings, graph = self.recipe.quantize, self._graph
        if self.decided is not None:
            return keep_trained(self.decided, self._noise(), source="none")
        if self.imported is not None:
            return self._take_over(self.imported, self._noise(), "none")
        if settings.backend != "edgekit":
            raise RecipeError(
                f"quantize.backend = {settings.backend} needs calibration data, and there is none",
                hint="pass 100 or more real inputs with --calibration; labels are not needed",
            )
        if settings.weight_only:
            return store_int8(graph, self._noise(), source="none", asked=True)
        made = self._synthesize()
        if settings.weight_bits == 4 and made is None:
            return self._store_int4(None, self._noise())
        if made is None:
            return store_int8(graph, self._noise(), source="none", asked=False)
        chosen, held_back = split(made, held_back=0.5)
        if settings.weight_bits == 4:
            found = self._store_int4(chosen, held_back)
        else:
            base = calibrate_base(graph, self.float_file, chosen, self.recipe, self.progress)
            found = Calibrated(base.quantized, held_back, "", chosen.count, draft=base)
        what = "roundings" if settings.weight_bits == 4 else "ranges"
        finding = Finding(
            "calibrated-without-data",
            f"no calibration data: the {what} come from {chosen.count} inputs synthesized to match the BatchNorm "
            "statistics, and the check ran on synthesized inputs too, so its agreement says little about real ones",
            Severity.WARNING,
            hint="pass 100 or more real inputs with --calibration; labels are not needed",
        )
        source = "synthesized from BatchNorm statistics"
        return replace(found, source=source, findings=(finding, *found.findings))

    def _store_int4(self, samples: SampleSet | None, held_back: SampleSet) -> Calibrated:
        seed = self.recipe.calibration.seed
        return store_int4(self._graph, self.float_file, samples, held_back, seed=seed, progress=self.progress)

    def _synthesize(self) -> SampleSet | None:
        """Inputs that match the BatchNorm statistics; None where there are none."""
        if not self.simplified.batchnorms:
            return None
        from edgekit.shrink.synthesis.synthesize import synthesize  # torch: only this path needs it

        seed = self.recipe.calibration.seed
        with self.progress.stage("synthesize inputs"):
            return synthesize(self._graph, self.simplified.batchnorms, count=SYNTHESIZED, seed=seed)

    def _noise(self) -> SampleSet:
        """Standard normal inputs (integers: 0 and 1), when nothing is known of the real ones."""
        specs = tuple(self._graph.spec(name) for name in self._graph.inputs)
        seed = self.recipe.calibration.seed

        def read(index: int) -> dict[str, Array]:
            rng = np.random.default_rng((seed, index))
            return {spec.name: _standard_normal(spec, rng) for spec in specs}

        return SampleSet(np.arange(SYNTHESIZED), read, "random noise")


def _standard_normal(spec: TensorSpec, rng: np.random.Generator) -> Array:
    if spec.dtype.startswith("float"):
        return rng.standard_normal(spec.shape).astype(spec.dtype)
    return rng.integers(0, 2, spec.shape).astype(spec.dtype)
