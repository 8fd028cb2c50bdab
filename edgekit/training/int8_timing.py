"""Timing of a live module's int8 file: what a latency target is judged by.

A module becomes a float graph, is quantized from a few inputs, written and run in ONNX Runtime, in turns with the file
of the unpruned module, so that a machine that slows down slows both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from edgekit.check.latency import measure
from edgekit.check.machine import describe_machine
from edgekit.check.signal import to_stored
from edgekit.emit.exporter import emit, float_artifact
from edgekit.errors import RecipeError
from edgekit.load.checkpoint import open_model
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.pruning.tracing import Example
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.simplify.simplification import simplify
from edgekit.types.artifact import Format
from edgekit.types.plan import Plan
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec

SAMPLES = 4
SECONDS = 1.5
"""Wall time of one comparison."""


class Int8Timer:
    """Times int8 files of modules against one of them, on this machine's CPU, one thread, batch 1."""

    def __init__(
        self, model: nn.Module, example: Example, inputs: Iterable[Example] | None, *, workdir: Path, seed: int
    ) -> None:
        """Make the unpruned module's file.

        Args:
            model: The unpruned module; not changed.
            example: Arguments of one call: a tensor, or a tuple of tensors. The first row of each is timed.
            inputs: Real batches, for ranges; None takes normal noise.
            workdir: For files.
            seed: Of the noise.

        Raises:
            RecipeError: The example holds something else than tensors.
        """
        self._samples = [_row(item) for item in islice(inputs, SAMPLES)] if inputs is not None else []
        first = _row(example)
        if not self._samples:
            draw = np.random.default_rng(seed)
            self._samples = [first, *([_noise(array, draw) for array in first] for _ in range(SAMPLES - 1))]
        self._shapes = [(array.shape, array.dtype.name) for array in first]
        self._workdir = workdir
        self._count = 0
        self._base = self._file(model)

    def ratio(self, model: nn.Module) -> float:
        """Median time of the module's int8 file, as a share of the unpruned one's, measured in turns."""
        runs = {"unpruned": self._base, "pruned": self._file(model)}
        return float(measure(runs, "unpruned", budget_seconds=SECONDS)["pruned"].ratio.estimate)

    def _file(self, model: nn.Module) -> Callable[[], object]:
        """Quantize, write and open; returns one inference."""
        self._count += 1
        folder = self._workdir / f"candidate{self._count}"
        folder.mkdir()
        specs = [TensorSpec(f"input{i}", shape, dtype) for i, (shape, dtype) in enumerate(self._shapes)]
        loaded = open_model(model, workdir=folder, inputs=specs)
        graph = simplify(loaded.path, name="candidate").graph
        exact = folder / "candidate.fp32.onnx"
        float_artifact(graph, exact, metadata={})
        samples = [dict(zip(graph.inputs, rows, strict=True)) for rows in self._samples]
        quantized = quantize(graph, observe(open_onnx(exact, taps=observed_values(graph)), graph, samples), Plan())
        stored: Format = "onnx-x86" if describe_machine().system.endswith(("x86_64", "AMD64")) else "onnx-int8"
        path = folder / "candidate.int8.onnx"
        emit(quantized, path, format=stored, metadata={})
        session = open_onnx(path)
        feeds = {spec.name: to_stored(samples[0][spec.name], spec) for spec in session.inputs}
        return lambda: session.run(feeds)


def _row(example: Example) -> list[Array]:
    """The first row of every tensor, batch axis kept."""
    tensors = [example] if isinstance(example, Tensor) else list(_values(example))
    return [tensor[:1].detach().cpu().numpy() for tensor in tensors]


def _values(example: Sequence[object] | Mapping[str, object]) -> Iterable[Tensor]:
    for value in example.values() if isinstance(example, Mapping) else example:
        if not isinstance(value, Tensor) or value.dim() == 0:
            raise RecipeError(
                f"a latency target takes tensors with a batch axis as inputs, found a {type(value).__name__}"
            )
        yield value


def _noise(array: Array, draw: np.random.Generator) -> Array:
    if array.dtype.kind == "f":
        return draw.standard_normal(array.shape).astype(array.dtype)
    return draw.permuted(array, axis=-1) if array.ndim else array
