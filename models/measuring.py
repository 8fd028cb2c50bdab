"""Measures a net on its test pictures: the module in torch, and the int8 files that its recipe makes, as they run."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from edgekit.check.intervals import newcombe_paired
from edgekit.pipeline import compress
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.progress import Progress
from models.cards import Figure
from models.data import Pictures
from models.net import ZooNet

Right = NDArray[np.bool_]
"""Of every test picture: whether it was given its own class."""
_INT8 = {"onnx-int8": "int8 ONNX", "tflite-int8": "int8 TFLite"}


@dataclass(frozen=True)
class Subject:
    """A module to measure.

    Attributes:
        module: In eval mode.
        prefix: What its rows' names start with; "" for the float net itself.
        file: Its weights.
        command: What made them.
    """

    module: nn.Module
    prefix: str
    file: Path
    command: str


def measure(net: ZooNet, subject: Subject, *, progress: Progress | None = None) -> list[Figure]:
    """The rows of a module: in float, as int8 ONNX and as int8 TFLite.

    Args:
        net: Its recipe and its float weights are what the rows are compared with.
        subject: What to measure.
        progress: Who watches.
    """
    torch.set_num_threads(1)
    test = net.data().test
    float_right = right_of_module(net.load(), test)
    right = float_right if not subject.prefix else right_of_module(subject.module, test)
    parameters, macs = sum(p.numel() for p in subject.module.parameters()), count_macs(subject.module, test[0][:1])

    def row(name: str, found: Right, file: Path, command: str) -> Figure:
        difference = None if found is float_right else _difference(found, float_right)
        size = file.stat().st_size
        return Figure(name, int(found.sum()), len(found), difference, parameters, macs, file.name, size, command)

    figures = [row(subject.prefix or "float", right, subject.file, subject.command)]
    recipe = net.recipe
    with tempfile.TemporaryDirectory() as folder:
        result = compress(
            subject.module,
            inputs=recipe.model.specs(),
            recipe=recipe,
            out=Path(folder) / "out",
            progress=progress,
        )
        for format, name in _INT8.items():
            found = right_of_file(result.files[format], test)
            label = f"{subject.prefix}, {name}" if subject.prefix else name
            figures.append(row(label, found, result.files[format], f"{subject.command} --measure"))
    return figures


def right_of_module(module: nn.Module, pictures: Pictures) -> Right:
    """Which pictures a module, in eval mode, gives their own class."""
    images, labels = pictures
    with torch.inference_mode():
        answers = [module(some).argmax(1) for some in torch.split(torch.from_numpy(images), 250)]
    return np.asarray(torch.cat(answers).numpy() == labels)


def right_of_file(path: Path, pictures: Pictures) -> Right:
    """Which pictures a written file gives their own class, one at a time on its own runtime."""
    images, labels = pictures
    session = open_tflite(path) if path.suffix == ".tflite" else open_onnx(path)
    source, target = session.inputs[0].name, session.outputs[0].name
    answers = [int(session.run({source: image[None]})[target].argmax()) for image in images]
    return np.asarray(np.array(answers) == labels)


def count_macs(module: nn.Module, image: NDArray[np.float32]) -> int:
    """Multiplications with addition in the convolutions, linear layers and attention of one forward call."""
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.from_numpy(image))
    return int(counter.get_total_flops()) // 2


def _difference(found: Right, reference: Right) -> tuple[float, float, float]:
    both, neither = int((found & reference).sum()), int((~found & ~reference).sum())
    paired = newcombe_paired(both, int((found & ~reference).sum()), int((~found & reference).sum()), neither)
    return round(paired.estimate, 6), round(paired.low, 6), round(paired.high, 6)
