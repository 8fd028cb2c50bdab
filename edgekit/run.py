"""The stages of one run that need to know what was asked for: calibrate, write, check."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.budget import refuse_unmeasurable
from edgekit.calibration.calibrated import Calibrated
from edgekit.calibration.routes import Calibration
from edgekit.check.accuracy import Task
from edgekit.check.compare import compare
from edgekit.check.large import is_large
from edgekit.emit.exporter import emit, float_artifact
from edgekit.errors import CalibrationError, RecipeError
from edgekit.ladder.hessian_rounding import round_all
from edgekit.load.metric_function import load_metric
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.metadata import describe
from edgekit.request import Request
from edgekit.simplify.simplification import Simplified
from edgekit.stages import Stages
from edgekit.targets.delivery import Delivery, Workshop, check_deliveries, deliver
from edgekit.types.artifact import FLOAT, Artifact, Format
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.model import Model
from edgekit.types.output_noise import OutputNoise
from edgekit.types.plan import Plan, Weight
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import FILES
from edgekit.types.report import CheckReport
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec
from edgekit.types.target import HostChoice
from edgekit.workspace import Workspace

SCANNED = 6
"""Samples that the noise of each layer at the outputs is estimated on."""


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

    def refuse_unsuited(self, simplified: Simplified, data: Data) -> None:
        """Stop before the work when the model or the data cannot be had as the recipe asks.

        Raises:
            RecipeError: The source is quantized already and is to be quantized in another way; or targets were asked
                for, and there is neither data to quantize their files with nor anything to synthesize it from.
        """
        settings, names = self.request.recipe.quantize, ", ".join(self.request.recipe.emit.targets)
        if self.loaded.imported is not None or self.loaded.decided is not None:
            asked = {
                "quantize.weight_bits = 4": settings.weight_bits == 4,
                "quantize.weight_only": settings.weight_only,
                f"quantize.backend = {settings.backend}": settings.backend != "edgekit",
                f"emit.targets = {names}": bool(names),
            }
            unsuited = [name for name, is_asked in asked.items() if is_asked]
            if unsuited:
                how = "was trained with scales of its own" if self.loaded.decided else "is quantized already"
                raise RecipeError(
                    f"{unsuited[0]} asks for other scales, and the model {how}: those are kept",
                    hint="hand over the float model it was made from, or leave this out",
                )
            return
        if not names or data.calibration is not None or simplified.batchnorms:
            return
        raise RecipeError(
            f"emit.targets = {names} needs ranges, and there are neither calibration data nor BatchNorm statistics",
            hint="pass 100 or more real inputs with --calibration; labels are not needed",
        )

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
            decided=self.loaded.decided,
        )
        calibrated = calibration.run(data.calibration)
        return float_file, calibrated

    def write(self, calibrated: Calibrated, formats: Sequence[Format]) -> list[Artifact]:
        """Write the int8 files."""
        quantized, recipe = calibrated.quantized, self.request.recipe
        about = self._describe(calibrated, quantized)
        files = []
        wanted = [name for name in formats if name != FLOAT]
        with self.stages.stage("write", len(wanted)) as stage:
            for name in wanted:
                path = self.space.files / FILES[name]
                files.append(emit(quantized, path, format=name, io=recipe.emit.io, metadata=about))
                stage.advance()
        return files

    def deliver(self, calibrated: Calibrated) -> tuple[tuple[Delivery, ...], HostChoice | None]:
        """Write the files that exist for a target alone, from the same calibration."""
        names, draft, evidence = self.request.recipe.emit.targets, calibrated.draft, calibrated.evidence
        if not names:
            return (), None
        assert draft is not None  # see `refuse_unsuited` and `refuse_contradictions`
        rounded: dict[tuple[str, bool], Mapping[str, Weight]] = {}

        def redecide(plan: Plan) -> Plan:
            assert evidence is not None  # without it no rung decided any weights
            key = plan.scheme, plan.symmetric
            if key not in rounded:
                rounded[key] = round_all(dataclasses.replace(draft, plan=plan), evidence)
            return dataclasses.replace(plan, weights=rounded[key])

        workshop = Workshop(
            draft.graph,
            functools.cache(lambda plan: dataclasses.replace(draft, plan=plan).quantized),
            self.space.files,
            self.space.scratch,
            lambda quantized: self._describe(calibrated, quantized),
            io=self.request.recipe.emit.io,
            redecide=redecide,
        )
        with self.stages.stage("write for targets"):
            return deliver(names, draft.plan, workshop, samples=calibrated.held_back, progress=self.stages)

    def check(
        self,
        files: Sequence[Artifact],
        calibrated: Calibrated,
        data: Data,
        *,
        deliveries: Sequence[Delivery] = (),
    ) -> CheckReport:
        """Run the files on their runtimes."""
        inner, seconds = None, self.request.recipe.check.seconds
        if calibrated.rescaled:
            inner = self.space.scratch / "inner.fp32.onnx"
            float_artifact(calibrated.quantized.graph, inner, metadata={})
        with self.stages.stage("check"):
            noise = self._scan(calibrated)
            main = compare(
                files,
                quantized=calibrated.quantized,
                held_back=calibrated.held_back,
                task=data.task,
                inner=inner,
                noise=noise,
                budget_seconds=seconds,
                progress=self.stages,
            )
            return check_deliveries(
                main,
                deliveries,
                float_file=files[0],
                held_back=calibrated.held_back,
                task=data.task,
                budget_seconds=seconds,
                progress=self.stages,
            )

    def _scan(self, calibrated: Calibrated) -> OutputNoise | None:
        """What each rounding costs at the outputs, for the layer table; `fast` does without."""
        quantized = calibrated.quantized
        if self.request.recipe.quantize.effort == "fast" or calibrated.ladder is None or is_large(quantized):
            return None
        if not any(quantized.is_int8(node) for node in quantized.graph.nodes):
            return None
        with self.stages.stage("scan layers"):
            from edgekit.shrink.quantization.sensitivity import scan_output_noise  # torch: only this needs it

            return scan_output_noise(quantized, calibrated.held_back, count=SCANNED)

    def _describe(self, calibrated: Calibrated, quantized: QuantizedGraph) -> dict[str, str]:
        recipe, spec = self.request.recipe, calibrated.preprocessing
        return describe(self.loaded, recipe, preprocessing=spec, quantized=quantized)

    def _open_task(self, specs: Sequence[TensorSpec], preprocessing: Preprocessing | None) -> Task:
        metric = self.request.metric
        name = str(metric) if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)
        function = load_metric(metric) if isinstance(metric, str) else metric
        if function is not None and not callable(function):
            raise RecipeError(
                f"the metric must be a function, found a {name}", hint="a function of (outputs, label), or its place"
            )
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
