"""Scales and integers decided elsewhere: by a backend, by whoever made the file that was loaded, by training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit.backends.backend import BACKENDS
from edgekit.calibration.calibrated import Calibrated
from edgekit.shrink.quantization.impose import impose, without_taps
from edgekit.shrink.quantization.islands import chosen_floats
from edgekit.simplify.simplification import Simplified
from edgekit.types.decided import Decided
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.ladder import LadderReport, Step
from edgekit.types.model import Model
from edgekit.types.progress import Progress
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples


def without_import(simplified: Simplified, loaded: Model) -> tuple[Simplified, Model]:
    """The model itself: results that kept the names of quantized tensors through simplification go."""
    if loaded.imported is None:
        return simplified, loaded
    graph, imported = without_taps(simplified.graph, loaded.imported)
    return replace(simplified, graph=graph), replace(loaded, imported=imported)


def take_over(
    graph: Graph, imported: Imported, samples: Samples, *, source: str, float_modules: Sequence[str] = ()
) -> Calibrated:
    """The loaded file's own numbers: every sample is left for the check.

    Args:
        graph: Simplified.
        imported: What the file said.
        samples: For the check.
        source: Where they came from.
        float_modules: Shell patterns of torch modules that compute in float all the same.
    """
    imposed = impose(graph, imported, float_nodes=chosen_floats(graph, float_modules))
    return Calibrated(imposed.quantized, samples, source, samples=0, findings=imposed.findings)


def keep_trained(decided: Decided, samples: Samples, *, source: str) -> Calibrated:
    """What training decided: nothing is calibrated, and every sample is left for the check.

    Args:
        decided: The trained graph with its integers.
        samples: For the check; training may have seen them.
        source: Where they came from.
    """
    ladder = LadderReport(
        decided.origin,
        (Step(decided.origin, True, decided.outcome),),
        "the scales were trained, and a rung would change them",
    )
    return Calibrated(decided.quantized, samples, source, samples=0, ladder=ladder)


def ask_backend(
    graph: Graph,
    float_file: Path,
    samples: SampleSet,
    held_back: Samples,
    *,
    recipe: Recipe,
    workdir: Path,
    progress: Progress,
) -> Calibrated:
    """Let another tool calibrate, and put what it decided on our graph.

    Raises:
        MissingExtraError: The tool is not installed.
        RecipeError: A setting that it does not have.
        ShrinkError: It failed.
    """
    settings = recipe.quantize
    backend = BACKENDS.load(settings.backend)
    with progress.stage(f"calibrate with {settings.backend}"):
        imported = backend(
            graph,
            float_file,
            samples,
            settings=settings,
            seed=recipe.calibration.seed,
            workdir=workdir,
            progress=progress,
        )
    imposed = impose(graph, imported, float_nodes=chosen_floats(graph, settings.float_modules))
    return Calibrated(imposed.quantized, held_back, samples.source, samples.count, findings=imposed.findings)
