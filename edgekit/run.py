"""The stages of one run that need to know what was asked for: calibrate, write, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.calibration import Calibrated, calibrate
from edgekit.check.compare import compare
from edgekit.emit.exporter import emit, float_artifact
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.metadata import describe
from edgekit.request import Request
from edgekit.simplify.simplification import Simplified
from edgekit.stages import Stages
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.model import Model
from edgekit.types.recipe import FILES
from edgekit.types.report import CheckReport
from edgekit.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Run:
    """What every later stage of one run needs."""

    request: Request
    space: Workspace
    stages: Stages
    loaded: Model

    def calibrate(self, simplified: Simplified) -> tuple[Artifact, Calibrated]:
        """Write the float file, run it over the data, and quantize."""
        graph, given = simplified.graph, self.request.preprocessing
        spec = parse_preprocessing(given, graph.spec(graph.inputs[0])) if isinstance(given, str) else given
        about = describe(self.loaded, self.request.recipe, preprocessing=spec)
        float_file = float_artifact(graph, self.space.files / FILES[FLOAT], metadata=about)
        calibrated = calibrate(
            simplified,
            float_file.path,
            self.request.calibration,
            preprocessing=spec,
            recipe=self.request.recipe,
            workdir=self.space.scratch,
            stages=self.stages,
        )
        return float_file, calibrated

    def write(self, calibrated: Calibrated, formats: Sequence[Format]) -> list[Artifact]:
        """Write the int8 files."""
        quantized, recipe = calibrated.quantized, self.request.recipe
        about = describe(self.loaded, recipe, preprocessing=calibrated.preprocessing, quantized=quantized)
        files = []
        wanted = [name for name in formats if name != FLOAT]
        with self.stages.stage("write", len(wanted)) as stage:
            for name in wanted:
                path = self.space.files / FILES[name]
                files.append(emit(quantized, path, format=name, io=recipe.emit.io, metadata=about))
                stage.advance()
        return files

    def check(self, files: Sequence[Artifact], calibrated: Calibrated) -> CheckReport:
        """Run the files on their runtimes."""
        labelled, graph = None, calibrated.quantized.graph
        if self.request.evaluation is not None:
            labelled = open_samples(
                self.request.evaluation,
                inputs=tuple(graph.spec(name) for name in graph.inputs),
                workdir=self.space.scratch,
                preprocessing=calibrated.preprocessing,
            )
        with self.stages.stage("check"):
            return compare(
                files,
                quantized=calibrated.quantized,
                held_back=calibrated.held_back,
                evaluation=labelled,
                budget_seconds=self.request.recipe.check.seconds,
                progress=self.stages,
            )
