"""The story on one page: a trained model in, int8 files and a report out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.calibration import Calibration, calibrate
from edgekit.check.compare import compare
from edgekit.emit.exporter import emit, float_artifact
from edgekit.emit.support import refuse_unsupported
from edgekit.load.checkpoint import open_model
from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.metadata import describe
from edgekit.report.files import write_reports
from edgekit.simplify.simplification import simplify
from edgekit.types.artifact import FLOAT, Artifact
from edgekit.types.finding import Finding
from edgekit.types.graph import QuantizedGraph
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.progress import Progress, Silent
from edgekit.types.recipe import FILES, Recipe
from edgekit.types.report import CalibrationSummary, Report, summarize
from edgekit.types.spec import TensorSpec
from edgekit.version import __version__
from edgekit.workspace import open_workspace


@dataclass(frozen=True, eq=False)
class CompressResult:
    """What a run left.

    Attributes:
        out: The folder.
        files: format -> path of each written model file.
        report: Everything that was measured and noticed.
        quantized: The graph the files were made from.
    """

    out: Path
    files: Mapping[str, Path]
    report: Report
    quantized: QuantizedGraph

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of every stage, most severe first."""
        return self.report.all_findings


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
        inputs: Names and shapes where the model itself does not tell.
        factory: "module:function" or "file.py:function" that builds the module of a state dict.
        trust_pickle: Unpickle a whole module; this runs whatever code the file holds.
        preprocessing: How an image becomes an input; a Preprocessing or a preset's name.
        evaluation: Labelled data, for accuracy with a paired confidence interval.
        out: Folder for the files; created, and only touched when everything succeeded.
        recipe: All further settings.
        progress: Who to tell how far it is.
        command: Command line that repeats the run, for the report.

    Returns:
        The files and the report.

    Raises:
        InputError: The model, the data or a setting cannot be used.
        UnsupportedOpError: Operators that cannot be converted, all of them listed.
        StorageError: The folder cannot be written.
    """
    recipe, watcher, out = recipe or Recipe(), progress or Silent(), Path(out)
    clock = _Clock(watcher)
    with open_workspace(out) as space:
        with clock.stage("load"):
            loaded = open_model(
                model, workdir=space.scratch, inputs=inputs, factory=factory, trust_pickle=trust_pickle
            )
        with clock.stage("simplify"):
            simplified = simplify(loaded.path, name=loaded.name)
            refuse_unsupported(simplified.graph, recipe.emit.formats)
        spec = _preprocessing(preprocessing, simplified.graph.spec(simplified.graph.inputs[0]))
        about = describe(loaded, recipe, spec)
        float_file = float_artifact(simplified.graph, space.files / FILES[FLOAT], metadata=about)
        with clock.stage("calibrate", recipe.calibration.samples) as advance:
            calibrated = calibrate(
                simplified, float_file.path, calibration, preprocessing=spec, settings=recipe, workdir=space.scratch,
                advance=advance,
            )
        quantized = calibrated.quantized
        about = describe(loaded, recipe, calibrated.preprocessing, quantized)
        with clock.stage("write", len(recipe.emit.formats)) as advance:
            files = [float_file, *_write(quantized, space.files, recipe, about, advance)]
        with clock.stage("check"):
            labelled = None if evaluation is None else open_samples(
                evaluation, inputs=loaded.inputs, workdir=space.scratch, preprocessing=calibrated.preprocessing
            )
            checked = compare(files, quantized=quantized, held_back=calibrated.held_back, evaluation=labelled)
        report = Report(
            version=__version__,
            command=command,
            model=summarize(quantized, str(loaded.origin), digest=loaded.digest),
            calibration=_summary(calibrated),
            recipe=dataclasses.asdict(recipe),
            check=checked,
            findings=(*loaded.findings, *simplified.findings, *calibrated.findings),
            preprocessing=calibrated.preprocessing,
            seconds=clock.seconds,
        )
        write_reports(report, recipe, space.files)
        space.publish()
    return CompressResult(out, {file.format: out / file.path.name for file in files}, report, quantized)
