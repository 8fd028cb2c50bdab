"""Intel Neural Compressor as a backend. Without the extra `inc` most are skipped by name; `make test-inc` has it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends.backend import BACKENDS
from edgekit.emit.onnx_qdq import write
from edgekit.errors import MissingExtraError, RecipeError
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.impose import impose
from edgekit.testing.qdq import feeds, float_net
from edgekit.types.imported import Imported
from edgekit.types.progress import Silent
from edgekit.types.recipe import QuantizeSettings
from edgekit.types.sample_set import SampleSet

IS_THERE = importlib.util.find_spec("neural_compressor") is not None
needs_inc = pytest.mark.skipif(
    not IS_THERE and os.environ.get("EDGEKIT_INC") != "required", reason="needs the extra inc: make test-inc"
)


def calibrated(name: str, folder: Path, **settings: str) -> tuple[Imported, float]:
    """What the backend decides, and the SQNR in dB of our file with it."""
    graph, source = float_net(name, folder)
    samples = feeds(name, 4, seed=0)
    imported = BACKENDS.load("neural-compressor")(
        graph,
        source,
        SampleSet(np.arange(4), lambda index: samples[index], "random"),
        settings=QuantizeSettings(**settings),  # type: ignore[arg-type]
        seed=0,
        workdir=folder,
        progress=Silent(),
    )
    found = impose(graph, imported)
    assert not found.quantized.islands
    target = folder / "ours.onnx"
    write(found.quantized, target)
    (sample,) = feeds(name, 1, seed=3)
    exact, rounded = open_onnx(source).run(sample), open_onnx(target, optimize=False).run(sample)
    noise = sum(float(np.square(exact[key] - rounded[key]).sum()) for key in exact)
    return imported, 10 * float(np.log10(sum(float(np.square(array).sum()) for array in exact.values()) / noise))


def test_without_it_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neural_compressor", None)
    with pytest.raises(MissingExtraError, match="neural-compressor") as caught:
        calibrated("resnet8", tmp_path)
    assert "edgekit-ml[inc]" in caught.value.hint


@needs_inc
def test_static_scales_make_a_whole_int8_graph(tmp_path: Path) -> None:
    imported, decibels = calibrated("resnet8", tmp_path, effort="fast")
    assert imported.source.startswith("neural-compressor 3.")
    assert decibels > 30.0


@needs_inc
def test_autotune_makes_a_whole_int8_graph(tmp_path: Path) -> None:
    imported, decibels = calibrated("resnet8", tmp_path, effort="thorough")
    assert "autotune" in imported.source
    assert decibels > 30.0


@needs_inc
def test_other_ranges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="minmax or entropy, not by 'mse'"):
        calibrated("resnet8", tmp_path, range="mse")
