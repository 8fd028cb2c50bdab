"""The story on one page: a trained model in, int8 files and a report out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from edgekit.budget import judge
from edgekit.calibration.opening import open_simplified
from edgekit.check.accuracy import Metric
from edgekit.emit.support import writable_formats
from edgekit.report.files import write_reports
from edgekit.request import refuse_overwriting, settle, wanted_formats
from edgekit.run import Run
from edgekit.stages import Stages
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress, Silent
from edgekit.types.recipe import FILES, Recipe
from edgekit.types.report import CalibrationSummary, Report, summarize
from edgekit.types.result import CompressResult
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
    metric: Metric | str | None = None,
    out: Path | str = "edgekit-out",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> CompressResult:
    """Make int8 ONNX and int8 TFLite files from a trained model, check them on their runtimes, and report.

    Args:
        model: A torch `nn.Module`, or the path of a torch.export program, TorchScript, state dict or ONNX file. A
            QatModule keeps the scales it was trained with; all data then serves the check.
        calibration: Unlabelled inputs: a folder of images, `.npz`, `.npy`, "module:function", or in Python any array,
            iterable of batches or DataLoader. None synthesizes inputs from BatchNorm statistics.
        inputs: Names and shapes, where neither the model nor the first batch of calibration data tells.
        factory: "module:function" or "file.py:function" that builds the module of a state dict.
        trust_pickle: Unpickle a whole module; this runs whatever code the file holds.
        preprocessing: How an image becomes an input; a Preprocessing or a preset's name.
        evaluation: Labelled data, for accuracy with a paired confidence interval.
        metric: Function of (outputs, label) that scores one sample, higher is better, or its place; None is top-1.
        out: Folder for the files; created, and only touched when everything succeeded.
        recipe: All further settings, and the above where they are left out; None takes the `edgekit.toml` beside the
            model, or the defaults.
        progress: Who to tell how far it is.
        command: Command line that repeats the run, for the report.

    Returns:
        The files and the report. Whether a budget of the recipe is kept is in `report.judgements`;
        `raise_for_budget` makes an error of it.

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
        metric=metric,
        recipe=recipe,
    )
    target, stages = Path(out), Stages(progress or Silent())
    refuse_overwriting(model, target)
    with open_workspace(target) as space:
        trained = None
        if request.recipe.trains:
            from edgekit.training.chain import train_as_asked  # torch and accelerate: only this needs them

            trained = train_as_asked(request, target, space.scratch, trust_pickle=trust_pickle, progress=stages)
            request = trained.request
        simplified, loaded = open_simplified(
            request.model,
            workdir=space.scratch,
            inputs=request.inputs,
            factory=request.factory,
            trust_pickle=trust_pickle,
            progress=stages,
        )
        if trained is not None:
            simplified, loaded = trained.named(simplified, loaded)
        formats, notes = writable_formats(simplified.graph, wanted_formats(request.recipe))
        run = Run(request, space, stages, loaded)
        data = run.open_data(simplified.graph)
        run.refuse_unsuited(simplified, data)
        float_file, calibrated = run.calibrate(simplified, data)
        files = [float_file, *run.write(calibrated, formats)]
        deliveries, host = run.deliver(calibrated)
        checked = run.check(files, calibrated, data, deliveries=deliveries)
        report = Report(
            version=__version__,
            command=command,
            model=summarize(calibrated.quantized, loaded.origin, digest=loaded.digest),
            calibration=CalibrationSummary(
                calibrated.source,
                calibrated.samples,
                calibrated.held_back.count,
                calibrated.lint,
                calibrated.digest,
            ),
            recipe=dataclasses.asdict(request.recipe),
            check=checked,
            findings=(
                *(trained.findings if trained else ()),
                *loaded.findings,
                *simplified.findings,
                *notes,
                *calibrated.findings,
            ),
            preprocessing=calibrated.preprocessing,
            seconds=stages.seconds,
            ladder=calibrated.ladder,
            judgements=judge(request.recipe.budget, checked),
            host=host,
            training=trained.summary if trained else None,
        )
        text = request.recipe.seen_from(target).to_toml()
        (space.files / "recipe.toml").write_text(text, encoding="utf-8")
        write_reports(report, space.files)
        space.publish(known=[*FILES.values(), *(f"{name}.data" for name in FILES.values())])
    if trained is not None:
        trained.folder.remove()
    written = [*files, *(file for delivery in deliveries for file in delivery.artifacts)]
    paths: dict[str, Path] = {file.format: target / file.path.name for file in written}
    return CompressResult(target, paths, report, calibrated.quantized)
