"""Scales and integers that another tool decided: a backend, or whoever made the file that was loaded."""

from __future__ import annotations

from pathlib import Path

from edgekit.backends.backend import BACKENDS
from edgekit.calibration.calibrated import Calibrated
from edgekit.shrink.quantization.impose import impose
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.progress import Progress
from edgekit.types.recipe import Recipe
from edgekit.types.sample_set import SampleSet
from edgekit.types.samples import Samples


def take_over(graph: Graph, imported: Imported, samples: Samples, *, source: str) -> Calibrated:
    """The loaded file's own numbers: every sample is left for the check.

    Args:
        graph: Simplified, with the results that were added for the import.
        imported: What the file said.
        samples: For the check.
        source: Where they came from.
    """
    imposed = impose(graph, imported)
    return Calibrated(imposed.quantized, samples, source, samples=0, findings=imposed.findings)


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
    imposed = impose(graph, imported)
    return Calibrated(imposed.quantized, held_back, samples.source, samples.count, findings=imposed.findings)
