"""quantize_static as a backend: through our exporters its numbers give what its own file gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.backends.backend import BACKENDS
from edgekit.emit.onnx_qdq import write
from edgekit.errors import InputError, RecipeError
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.impose import impose
from edgekit.testing.qdq import feeds, float_net, quantize_with_ort
from edgekit.types.imported import Imported
from edgekit.types.progress import Silent
from edgekit.types.recipe import QuantizeSettings
from edgekit.types.sample_set import SampleSet


def calibrated(name: str, folder: Path, settings: QuantizeSettings) -> tuple[Imported, Path]:
    graph, source = float_net(name, folder)
    samples = feeds(name, 4, seed=0)
    imported = BACKENDS.load("onnxruntime")(
        graph,
        source,
        SampleSet(np.arange(4), lambda index: samples[index], "random"),
        settings=settings,
        seed=0,
        workdir=folder,
        progress=Silent(),
    )
    ours = folder / "ours.onnx"
    found = impose(graph, imported)
    assert not found.quantized.islands
    assert not found.findings
    write(found.quantized, ours)
    return imported, ours


def test_our_file_says_what_their_file_says(tmp_path: Path) -> None:
    imported, ours = calibrated("resnet8", tmp_path, QuantizeSettings())
    assert imported.source.startswith("onnxruntime ")
    theirs = tmp_path / "theirs.onnx"
    quantize_with_ort(tmp_path / "float.onnx", theirs, feeds("resnet8", 4, seed=0), types="int8 int8", per_channel=True)
    (sample,) = feeds("resnet8", 1, seed=3)
    one, other = (open_onnx(path, optimize=False).run(sample)["output"] for path in (theirs, ours))
    assert one.any()
    np.testing.assert_allclose(other, one, atol=float(imported.activations["output"].scale) * 1.01)


def test_fixed_scales_keep_sigmoids_int8(tmp_path: Path) -> None:
    imported, _ = calibrated("silu_net", tmp_path, QuantizeSettings())
    assert any(params.scale == np.float32(1 / 256) for params in imported.activations.values())


def test_other_ranges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="by min-max, not by 'mse'"):
        calibrated("resnet8", tmp_path, QuantizeSettings(range="mse"))


def test_unknown_backends_are_named() -> None:
    with pytest.raises(InputError, match="tensorflow"):
        BACKENDS.load("tensorflow")
