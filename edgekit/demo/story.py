"""The demo itself: one library call, then every file asked about every photograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.demo import lite0, photos
from edgekit.demo.answers import Answer, best_answer, one_thread, open_models
from edgekit.load.images import read_image
from edgekit.pipeline import compress
from edgekit.types.progress import Progress, Silent
from edgekit.types.recipe import CalibrationSettings, Recipe
from edgekit.types.result import CompressResult


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        result: Of the library call.
        answers: photograph -> model ("float torch", "onnx-int8", "tflite-int8") -> what it says.
    """

    result: CompressResult
    answers: Mapping[str, Mapping[str, Answer]]


def run(out: Path, *, progress: Progress | None = None) -> DemoResult:
    """Compress EfficientNet-Lite0 on crops of real photographs and ask the files about the photographs.

    Args:
        out: Folder for the files, the report, and the photographs (in `photos/`).
        progress: Who watches.

    Raises:
        EdgekitError: As `edgekit.pipeline.compress`.
    """
    watcher = progress or Silent()
    with watcher.stage("photographs"):
        count = photos.write_crops(out / "photos" / "calibration")
        centres = photos.write_centres(out / "photos" / "table")
    module = lite0.build()
    result = compress(
        module,
        calibration=out / "photos" / "calibration",
        inputs=(lite0.INPUT,),
        preprocessing=lite0.PREPROCESSING,
        out=out,
        recipe=Recipe(calibration=CalibrationSettings(samples=count)),
        progress=watcher,
    )
    answers: dict[str, dict[str, Answer]] = {}
    with watcher.stage("photo by photo", len(centres)) as stage, one_thread():
        models = open_models(module, result.files)
        for name, path in centres.items():
            image = read_image(path, lite0.PREPROCESSING)
            answers[name] = {model: best_answer(logits(image), lite0.class_name) for model, logits in models.items()}
            stage.advance()
    return DemoResult(result, answers)
