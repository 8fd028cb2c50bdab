"""The stages of one run that need to know what was asked for: calibrate, write, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.budget import refuse_unmeasurable
from edgekit.calibration.calibrated import Calibrated
from edgekit.calibration.routes import Calibration
from edgekit.check.accuracy import Task
from edgekit.check.compare import compare
from edgekit.emit.exporter import emit, float_artifact
from edgekit.errors import CalibrationError
from edgekit.load.metric_function import load_metric
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.metadata import describe
from edgekit.request import Request
from edgekit.simplify.simplification import Simplified
from edgekit.stages import Stages
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.graph import Graph
from edgekit.types.model import Model
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import FILES
from edgekit.types.report import CheckReport
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec
from edgekit.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Data:
    """What a run looks at, opened.

    Attributes:
        preprocessing: How an image becomes an input, where that was said.
        calibration: Unlabelled samples, at most as many as the recipe takes, or None.
        task: Labelled samples, prepared as those that calibrate, and the metric; or None.
    """

    preprocessing: Preprocessing | None
    calibration: SampleSet | None
    task: Task | None


@dataclass(frozen=True, eq=False)
class Run:
    """What every later stage of one run needs."""

    request: Request
    space: Workspace
    stages: Stages
    loaded: Model

    def open_data(self, graph: Graph) -> Data:
        """Open all data before any of it is used, so that what cannot be used costs no work.

        Raises:
            CalibrationError: Nothing usable there, or it does not fit the model's inputs.
            RecipeError: A budget limits what this model or data cannot tell.
        """
        request, settings = self.request, self.request.recipe.calibration
        specs = tuple(graph.spec(name) for name in graph.inputs)
        given = request.preprocessing
        preprocessing = parse_preprocessing(given, specs[0]) if isinstance(given, str) else given
        calibration = task = None
        if request.calibration is not None:
            calibration = open_samples(
                request.calibration,
                inputs=specs,
                workdir=self.space.scratch,
                preprocessing=preprocessing,
                limit=settings.samples,
                seed=settings.seed,
            )
        if request.evaluation is not None:
            used = calibration.preprocessing if calibration is not None else preprocessing
            task = self._open_task(specs, used)
        refuse_unmeasurable(request.recipe.budget, graph, task)
        return Data(preprocessing, calibration, task)

    def calibrate(self, simplified: Simplified, data: Data) -> tuple[Artifact, Calibrated]:
        """Write the float file, run it over the data, and quantize."""
        graph, spec = simplified.graph, data.preprocessing
        about = describe(self.loaded, self.request.recipe, preprocessing=spec)
        float_file = float_artifact(graph, self.space.files / FILES[FLOAT], metadata=about)
        calibration = Calibration(
            simplified,
            float_file.path,
            self.request.recipe,
            self.space.scratch,
            self.stages,
            task=data.task,
            imported=self.loaded.imported,
        )
        calibrated = calibration.run(data.calibration)
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

    def check(self, files: Sequence[Artifact], calibrated: Calibrated, data: Data) -> CheckReport:
        """Run the files on their runtimes."""
        inner = None
        if calibrated.rescaled:
            inner = self.space.scratch / "inner.fp32.onnx"
            float_artifact(calibrated.quantized.graph, inner, metadata={})
        with self.stages.stage("check"):
            return compare(
                files,
                quantized=calibrated.quantized,
                held_back=calibrated.held_back,
                task=data.task,
                inner=inner,
                budget_seconds=self.request.recipe.check.seconds,
                progress=self.stages,
            )

    def _open_task(self, specs: Sequence[TensorSpec], preprocessing: Preprocessing | None) -> Task:
        metric = self.request.metric
        name = str(metric) if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)
        function = load_metric(metric) if isinstance(metric, str) else metric
        try:
            samples = open_samples(
                self.request.evaluation, inputs=specs, workdir=self.space.scratch, preprocessing=preprocessing
            )
            return Task(samples) if function is None else Task(samples, function, name)
        except CalibrationError as error:  # raised by what reads both, which does not know that these are labelled
            found, general = str(error), "calibration data "
            message = found.replace(general, "evaluation data ", 1)
            raise CalibrationError(
                message if found.startswith(general) else f"evaluation data: {found}", hint=error.hint
            ) from error
