"""The demo itself: one library call, then every file asked about every photograph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgekit.demo import lite0, photos
from edgekit.load.images import read_image
from edgekit.pipeline import compress
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.session import Session
from edgekit.types.progress import Progress, Silent
from edgekit.types.qparams import Array
from edgekit.types.recipe import CalibrationSettings, Recipe
from edgekit.types.result import CompressResult

FLOAT = "float torch"


@dataclass(frozen=True)
class Answer:
    """What one model says about one photograph: the class name and its probability."""

    name: str
    probability: float


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
    with watcher.stage("photo by photo", len(centres)) as stage, _one_thread():
        models = dict(_models(module, result.files))
        for name, path in centres.items():
            image = read_image(path, lite0.PREPROCESSING)
            answers[name] = {model: _answer(logits(image)) for model, logits in models.items()}
            stage.advance()
    return DemoResult(result, answers)


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread, as the other runtimes are: two that wait for one another are slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _models(module: torch.nn.Module, files: Mapping[str, Path]) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Name and function (1, 3, 224, 224) -> (1, 1000) of the float module and the two canonical int8 files."""

    def run_torch(image: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(image)))

    yield FLOAT, run_torch
    yield "onnx-int8", _runner(open_onnx(files["onnx-int8"]))
    yield "tflite-int8", _runner(open_tflite(files["tflite-int8"]))


def _runner(session: Session) -> Callable[[Array], Array]:
    source, target = session.inputs[0].name, session.outputs[0].name
    return lambda image: session.run({source: image})[target]


def _answer(logits: Array) -> Answer:
    shifted = np.exp(logits[0] - logits[0].max())
    best = int(np.argmax(logits[0]))
    return Answer(lite0.class_name(best), float(shifted[best] / shifted.sum()))
