"""Intel Neural Compressor 3.x as a backend: its static PT2E configuration, or `autotune` over its grid of them.

It works on torch programs, so the graph is made one; what it puts around each tensor is read back by the step that made
the tensor. It quantizes the inputs of layers and what its CPU kernels fuse. Values between, which int8 files need too,
get min-max scales from edgekit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit.backends.completion import completed
from edgekit.backends.program_scales import read_program
from edgekit.backends.stepwise import Stepwise
from edgekit.errors import MissingExtraError, RecipeError, ShrinkError
from edgekit.load.quiet import first_line, silence
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.plan import Plan
from edgekit.types.progress import Progress
from edgekit.types.qparams import Array
from edgekit.types.recipe import QuantizeSettings
from edgekit.types.samples import Samples

ALGORITHMS = {"minmax": "minmax", "entropy": "kl"}
"""`quantize.range` -> `act_algo`: a moving average of minimum and maximum, or a histogram."""
TUNED_ON = 16
"""Samples that `autotune` compares its trials on."""
EXACT_DB = 100.0
"""What two equal results count in dB."""

Tensors = tuple[torch.Tensor, ...]


def calibrate(
    graph: Graph,
    float_file: Path,
    samples: Samples,
    *,
    settings: QuantizeSettings,
    seed: int,
    workdir: Path,
    progress: Progress,
) -> Imported:
    """Scales and integers of Neural Compressor; see `Backend`. Effort "thorough" tunes."""
    tool = _tool()
    if settings.range not in ALGORITHMS:
        raise RecipeError(
            f"the neural-compressor backend calibrates by minmax or entropy, not by '{settings.range}'",
            hint="leave quantize.range out, or use the edgekit backend",
        )
    with progress.stage("calibrate", samples.count) as stage:
        session = open_onnx(float_file, taps=observed_values(graph))
        own = quantize(graph, observe(session, graph, samples, advance=stage.advance), Plan(correct_bias=False))
    feeds = [_tensors(graph, sample) for sample in samples]
    tunes = settings.effort == "thorough"
    with progress.stage("neural-compressor" + (" autotune" if tunes else ""), None), silence(), torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            program = tool.export(Stepwise(graph).eval(), feeds[0])
            config = tool.config(act_algo=ALGORITHMS[settings.range])
            result = _tuned(tool, program, feeds) if tunes else _static(tool, program, config, feeds)
        except Exception as error:  # torch.export, torchao and the tool each have their own
            raise ShrinkError(
                f"Neural Compressor {tool.version} failed on this model: {first_line(error)}",
                hint="use --backend edgekit, which needs no torch program",
            ) from error
    found = read_program(result, graph)
    source = f"neural-compressor {tool.version}{' autotune' if tunes else ''}"
    return completed(graph, dataclasses.replace(found, source=source), own)


@dataclasses.dataclass(frozen=True)
class _Tool:
    """The few things that are used of the package."""

    version: str
    export: Callable[..., Any]
    prepare: Callable[..., Any]
    convert: Callable[..., Any]
    autotune: Callable[..., Any]
    tuning: Callable[..., Any]
    config: Any


def _tool() -> _Tool:
    """Import it: it logs much, and names its own missing parts in many ways.

    Raises:
        MissingExtraError: It, or what its torch side needs, is not installed.
    """
    try:
        with silence():
            root = import_module("neural_compressor")
            import_module("torchao")
            quantization = import_module("neural_compressor.torch.quantization")
            exporting = import_module("neural_compressor.torch.export")
    except ImportError as error:
        raise MissingExtraError("neural-compressor", extra="inc") from error
    return _Tool(
        root.__version__,
        exporting.export,
        quantization.prepare,
        quantization.convert,
        quantization.autotune,
        quantization.TuningConfig,
        quantization.INT8StaticQuantConfig,
    )


def _static(tool: _Tool, program: Any, config: Any, feeds: list[Tensors]) -> Any:
    prepared = tool.prepare(program, config)
    _run_all(prepared, feeds)
    return tool.convert(prepared)


def _tuned(tool: _Tool, program: Any, feeds: list[Tensors]) -> Any:
    """Every configuration of the tool's own grid, the best by output error on the first samples."""
    judged = feeds[:TUNED_ON]
    with torch.no_grad():
        wanted = [program(*feed) for feed in judged]

    def score(model: Any) -> float:
        with torch.no_grad():
            return _decibels(wanted, [model(*feed) for feed in judged])

    grid = tool.config.get_config_set_for_tuning()
    return tool.autotune(
        model=program,
        tune_config=tool.tuning(config_set=[grid], tolerable_loss=0.0),
        eval_fn=score,
        run_fn=lambda model: _run_all(model, feeds),
        example_inputs=feeds[0],
    )


def _run_all(model: Any, feeds: list[Tensors]) -> None:
    with torch.no_grad():
        for feed in feeds:
            model(*feed)


def _decibels(wanted: list[Tensors], got: list[Tensors]) -> float:
    """Signal to noise over all outputs of all samples."""
    pairs = [pair for one, other in zip(wanted, got, strict=True) for pair in zip(one, other, strict=True)]
    signal = sum(float(want.double().square().sum()) for want, _ in pairs)
    noise = sum(float((want.double() - have.double()).square().sum()) for want, have in pairs)
    return EXACT_DB if noise == 0.0 else min(EXACT_DB, 10 * float(np.log10(max(signal, 1e-30) / noise)))


def _tensors(graph: Graph, sample: Mapping[str, Array]) -> Tensors:
    return tuple(torch.from_numpy(np.array(sample[name])) for name in graph.inputs)
