"""What the float module and the int8 files say about one picture: the demo's tables are made of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.session import Session
from edgekit.types.qparams import Array

FLOAT = "float torch"
SHOWN = ("onnx-int8", "tflite-int8")
"""The int8 files that are asked: one for each runtime."""


@dataclass(frozen=True)
class Answer:
    """What one model says about one picture: the class name and its probability."""

    name: str
    probability: float


def open_models(module: torch.nn.Module, files: Mapping[str, Path]) -> dict[str, Callable[[Array], Array]]:
    """Name -> function (1, C, H, W) -> (1, classes) of the float module and the two canonical int8 files.

    Args:
        module: In eval mode, one input, one output.
        files: format -> path, with those of `SHOWN`.
    """

    def run_torch(image: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(image)))

    sessions = {name: (open_tflite if name.startswith("tflite") else open_onnx)(files[name]) for name in SHOWN}
    return {FLOAT: run_torch, **{name: _runner(session) for name, session in sessions.items()}}


def best_answer(logits: Array, name: Callable[[int], str]) -> Answer:
    """The most likely class.

    Args:
        logits: (1, classes).
        name: Class index -> what to call it.
    """
    shifted = np.exp(logits[0] - logits[0].max())
    best = int(np.argmax(logits[0]))
    return Answer(name(best), float(shifted[best] / shifted.sum()))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread, as the other runtimes are: two that wait for one another are slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _runner(session: Session) -> Callable[[Array], Array]:
    source, target = session.inputs[0].name, session.outputs[0].name
    return lambda image: session.run({source: image})[target]
