"""The demo of a zoo net: compress it as its recipe says, then ask every file about the hardest test pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file

from edgekit.demo.answers import Answer, best_answer, one_thread, open_models
from edgekit.demo.catalogue import DemoNet, zoo_folder
from edgekit.load.data_function import call_data_function
from edgekit.load.factory import build_module
from edgekit.pipeline import compress
from edgekit.types.progress import Progress, Silent
from edgekit.types.qparams import Array
from edgekit.types.recipe import Recipe
from edgekit.types.result import CompressResult

WEIGHTS, RECIPE = "weights.safetensors", "recipe.toml"


@dataclass(frozen=True)
class Example:
    """One test picture.

    Attributes:
        index: Which of the test pictures, from 0.
        truth: Its class.
        answers: model ("float torch", "onnx-int8", "tflite-int8") -> what it says.
    """

    index: int
    truth: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class ZooResult:
    """What the demo of a zoo net found.

    Attributes:
        net: Which net.
        result: Of the library call; its report has accuracy, size and latency.
        examples: Of every class the test picture that the float net is least sure of.
    """

    net: DemoNet
    result: CompressResult
    examples: tuple[Example, ...]


def run(net: DemoNet, out: Path, *, progress: Progress | None = None) -> ZooResult:
    """Compress a zoo net: calibrated on training pictures, scored on test pictures.

    Args:
        net: Of `edgekit.demo.catalogue.NETS`, not Lite0.
        out: Folder for the files and the report.
        progress: Who watches.

    Raises:
        MissingExtraError: The package with its pictures is not installed.
        EdgekitError: As `edgekit.pipeline.compress`.
    """
    folder, watcher = zoo_folder(net), progress or Silent()
    recipe = Recipe.from_file(folder / RECIPE)
    with watcher.stage("pictures"):
        images, labels = _pictures(recipe.evaluation.data)
    result = compress(folder / WEIGHTS, recipe=recipe, out=out, progress=watcher, command=f"edgekit demo {net.name}")
    with one_thread():
        module = load_net(folder)
        chosen = _hardest(module, images, labels)
        examples = []
        with watcher.stage("picture by picture", len(chosen)) as stage:
            models = open_models(module, result.files)
            for index in chosen:
                says = {name: best_answer(run(images[index : index + 1]), str) for name, run in models.items()}
                examples.append(Example(index, str(labels[index]), says))
                stage.advance()
    return ZooResult(net, result, tuple(examples))


def load_net(folder: Path) -> torch.nn.Module:
    """The module of a zoo folder with its weights, in eval mode; every tensor has to fit."""
    module = build_module(Recipe.from_file(folder / RECIPE).model.factory)
    module.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    return module.eval()


def _pictures(reference: str) -> tuple[Array, Array]:
    """float32 (N, C, H, W) and int64 (N,), from the recipe's function."""
    return cast(tuple[Array, Array], call_data_function(reference))


def _hardest(module: torch.nn.Module, images: Array, labels: Array) -> list[int]:
    """Of every class, in order, the picture to whose class the module gives the smallest probability."""
    with torch.inference_mode():
        chances = torch.softmax(module(torch.from_numpy(images)), dim=1).numpy()
    truth = chances[np.arange(len(labels)), labels]
    return [int(np.where(labels == number, truth, 2.0).argmin()) for number in np.unique(labels)]
