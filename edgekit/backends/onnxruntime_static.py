"""ONNX Runtime's `quantize_static` as a backend: min-max, int8 activations, int8 weights per channel."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgekit.backends.names import in_terms_of
from edgekit.errors import RecipeError, ShrinkError
from edgekit.load.quantized_onnx import take_apart
from edgekit.load.quiet import first_line
from edgekit.types.graph import Graph
from edgekit.types.imported import Imported
from edgekit.types.operators import OPERATORS, Rule
from edgekit.types.progress import Progress, Stage
from edgekit.types.qparams import Array
from edgekit.types.recipe import QuantizeSettings
from edgekit.types.samples import Samples

_FIXED = {Rule.UNIT: (1 / 256, -128), Rule.SYMMETRIC_UNIT: (1 / 128, 0)}
"""Rule -> scale and zero point that int8 kernels give the result."""


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
    """Scales and integers of `quantize_static`; see `Backend`.

    Results of Sigmoid, Softmax and Tanh are told to have the scale that int8 kernels fix, so that those stay int8 in
    both file formats.
    """
    if settings.range != "minmax":
        raise RecipeError(
            f"the onnxruntime backend calibrates by min-max, not by '{settings.range}': its other calibrators keep "
            "every activation of every sample in memory",
            hint=f"leave quantize.range out, or use the edgekit backend, whose '{settings.range}' streams",
        )
    target = workdir / "onnxruntime.qdq.onnx"
    options = {
        "TensorQuantOverrides": _overrides(graph),
        "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
    }
    with progress.stage("quantize_static", samples.count) as stage, _quiet():
        try:
            quantize_static(
                str(float_file),
                str(target),
                _Reader(samples, stage),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options=options,
            )
        except Exception as error:  # it raises whatever its passes raise
            raise ShrinkError(
                f"quantize_static of onnxruntime failed on this model: {first_line(error)}",
                hint="use --backend edgekit, which needs none of it",
            ) from error
    _, imported = take_apart(onnx.load(target), where="what quantize_static wrote")
    import os

    if os.environ.get("KEEP"):
        target.rename(workdir / "keep.onnx")
    return in_terms_of(graph, imported, source=f"onnxruntime {onnxruntime.__version__} quantize_static")


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Samples as `quantize_static` asks for them."""

    def __init__(self, samples: Samples, stage: Stage) -> None:
        self._samples: Iterator[Mapping[str, Array]] = iter(samples)
        self._stage = stage

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._samples, None)
        if sample is None:
            return None
        self._stage.advance(1)
        return dict(sample)


def _overrides(graph: Graph) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for node in graph.nodes:
        fixed = _FIXED.get(OPERATORS[node.op].rule)
        if fixed is not None:
            scale, zero = fixed
            numbers = {"scale": np.asarray(scale, np.float32), "zero_point": np.asarray(zero, np.int8)}
            found[node.outputs[0]] = [{"quant_type": QuantType.QInt8, **numbers}]
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Its advice to run a pre-processing that simplification has done goes to the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
