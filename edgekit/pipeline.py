"""The story on one page: a trained model in, int8 files and a report out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from edgekit.calibration import calibrate
from edgekit.check.compare import compare
from edgekit.emit.exporter import emit, float_artifact
from edgekit.emit.support import writable_formats
from edgekit.errors import RecipeError
from edgekit.load.checkpoint import open_model
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.metadata import describe
from edgekit.report.files import write_reports
from edgekit.request import settle
from edgekit.simplify.simplification import simplify
from edgekit.stages import Stages
from edgekit.types.artifact import FLOAT
from edgekit.types.graph import Graph
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress, Silent
from edgekit.types.recipe import FILES, Recipe
from edgekit.types.report import CalibrationSummary, Report, summarize
from edgekit.types.result import CompressResult
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec
from edgekit.version import __version__
from edgekit.workspace import open_workspace


def compress(
    model: object,
    *,
    calibration: object = None,
    inputs: Sequence[TensorSpec] = (),
    factory: str | None = None,
    trust_pickle: bool = False,
    preprocessing: Preprocessing | str | None = None,
    evaluation: object = None,
    out: Path | str = "edgekit-out",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> CompressResult:
    """Make int8 ONNX and int8 TFLite files from a trained model, check them on their runtimes, and report.

    Args:
        model: A torch `nn.Module`, or the path of a torch.export program, TorchScript, state dict or ONNX file.
        calibration: Unlabelled inputs: a folder of images, `.npz`, `.npy`, "module:function", or in Python any array,
            iterable of batches or DataLoader. None synthesizes inputs from BatchNorm statistics.
        inputs: Names and shapes, where neither the model nor the first batch of calibration data tells.
        factory: "module:function" or "file.py:function" that builds the module of a state dict.
        trust_pickle: Unpickle a whole module; this runs whatever code the file holds.
        preprocessing: How an image becomes an input; a Preprocessing or a preset's name.
        evaluation: Labelled data, for accuracy with a paired confidence interval.
        out: Folder for the files; created, and only touched when everything succeeded.
        recipe: All further settings, and the above where they are left out; None takes the `edgekit.toml` beside the
            model, or the defaults.
        progress: Who to tell how far it is.
        command: Command line that repeats the run, for the report.

    Returns:
        The files and the report.

    Raises:
        InputError: The model, the data or a setting cannot be used.
        UnsupportedOpError: Operators that cannot be converted, all of them listed.
        StorageError: The folder cannot be written.
    """
    request = settle(
        model,
        calibration=calibration,
        inputs=inputs,
        factory=factory,
        preprocessing=preprocessing,
        evaluation=evaluation,
        recipe=recipe,
    )
    recipe, out = request.recipe, Path(out)
    _refuse_overwriting(model, out)
    stages = Stages(progress or Silent())
    with open_workspace(out) as space:
        with stages.stage("load"):
            loaded = open_model(
                model,
                workdir=space.scratch,
                inputs=request.inputs,
                factory=request.factory,
                trust_pickle=trust_pickle,
            )
        with stages.stage("simplify"):
            simplified = simplify(loaded.path, name=loaded.name)
            formats, notes = writable_formats(simplified.graph, recipe.emit.formats)
        spec = _preprocessing(request.preprocessing, simplified.graph)
        float_file = float_artifact(
            simplified.graph, space.files / FILES[FLOAT], metadata=describe(loaded, recipe, preprocessing=spec)
        )
        calibrated = calibrate(
            simplified,
            float_file.path,
            request.calibration,
            preprocessing=spec,
            recipe=recipe,
            workdir=space.scratch,
            stages=stages,
        )
        quantized = calibrated.quantized
        about = describe(loaded, recipe, preprocessing=calibrated.preprocessing, quantized=quantized)
        files = [float_file]
        with stages.stage("write", len(formats)) as stage:
            for name in formats:
                if name != FLOAT:
                    files.append(
                        emit(quantized, space.files / FILES[name], format=name, io=recipe.emit.io, metadata=about)
                    )
                stage.advance()
        labelled = _evaluation(request.evaluation, simplified.graph, calibrated.preprocessing, space.scratch)
        with stages.stage("check"):
            checked = compare(
                files,
                quantized=quantized,
                held_back=calibrated.held_back,
                evaluation=labelled,
                budget_seconds=recipe.check.seconds,
                progress=stages,
            )
        report = Report(
            version=__version__,
            command=command,
            model=summarize(quantized, loaded.origin, digest=loaded.digest),
            calibration=CalibrationSummary(
                calibrated.source, calibrated.samples, calibrated.held_back.count, calibrated.lint
            ),
            recipe=dataclasses.asdict(recipe),
            check=checked,
            findings=(*loaded.findings, *simplified.findings, *notes, *calibrated.findings),
            preprocessing=calibrated.preprocessing,
            seconds=stages.seconds,
        )
        (space.files / "recipe.toml").write_text(recipe.seen_from(out).to_toml(), encoding="utf-8")
        write_reports(report, space.files)
        space.publish(known=[*FILES.values(), *(f"{name}.data" for name in FILES.values())])
    return CompressResult(out, {file.format: out / file.path.name for file in files}, report, quantized)


def _refuse_overwriting(model: object, out: Path) -> None:
    """A model called like one of the files is not to be replaced by what was made from it."""
    if not isinstance(model, str | os.PathLike):
        return
    source = Path(model).expanduser().resolve()
    if source in {(out / name).resolve() for name in FILES.values()}:
        raise RecipeError(
            f"the folder {out} holds the model itself, and the run would overwrite {source.name}",
            hint="choose another folder with --out",
        )


def _preprocessing(given: Preprocessing | str | None, graph: Graph) -> Preprocessing | None:
    if isinstance(given, str):
        return parse_preprocessing(given, graph.spec(graph.inputs[0]))
    return given


def _evaluation(data: object, graph: Graph, preprocessing: Preprocessing | None, workdir: Path) -> SampleSet | None:
    if data is None:
        return None
    specs = tuple(graph.spec(name) for name in graph.inputs)
    return open_samples(data, inputs=specs, workdir=workdir, preprocessing=preprocessing)
