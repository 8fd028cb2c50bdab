"""The rules against the runtime: what they forecast for this processor is what ONNX Runtime executes."""

import re

import numpy as np
import pytest

from edgekit.check.fusion_ort import list_executed, optimized_graph
from edgekit.check.machine import describe_machine
from edgekit.emit.exporter import emit
from edgekit.targets.rules_ort import OrtRules
from edgekit.targets.scene import open_scene
from edgekit.testing.nets.table import NETS
from edgekit.testing.single_op import catalogue
from edgekit.types.plan import Plan
from edgekit.types.spec import TensorSpec
from edgekit.types.target import processor_of
from tests.targets.nets import calibrate_module

PROCESSOR = processor_of(describe_machine())
MATCHED = 0.4
"""Least share of nodes that are found again: of the others the runtime made new ones, or none."""
QUICK = ("ds_cnn", "resnet8", "shufflenet", "unet", "transformer", "zoo_shapes", "zoo_convolutions", "segmenter")
"""Nets that are looked at in every run; between them they have every operator."""

pytestmark = pytest.mark.skipif(not PROCESSOR, reason="the rules know x86 and ARM, this processor is neither")


def disagreements(path):
    """(nodes found again, nodes in all, those forecast as something else than what is executed)."""
    rules = OrtRules(signed=PROCESSOR == "arm")
    executed = {plain(step.names[-1]): step for step in list_executed(optimized_graph(path))}
    sites = list(open_scene(path).sites())
    found = [(rules.verdict(site), executed[site.node.name]) for site in sites if site.node.name in executed]
    wrong = [(verdict, step.op, step.kind) for verdict, step in found if verdict.runs != step.kind]
    return len(found), len(sites), wrong


def plain(name):
    return re.sub(r"(_token_\d+|_nchwc|_quantized|/duplicated)+$", "", name)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETS]
)
def test_forecast_is_what_is_executed_on_every_net(name, calibrated, tmp_path):
    quantized = calibrated(name, 2).quantize()
    for format in ("onnx-int8", "onnx-x86"):
        expect_agreement(quantized, tmp_path, format)


def test_forecast_is_what_is_executed_of_integer_operators_and_symmetric_files(calibrated, tmp_path):
    net = calibrated("unet", 2)
    expect_agreement(net.quantize(), tmp_path, "onnx-qop")
    expect_agreement(net.quantize(Plan(scheme="full", symmetric=True)), tmp_path, "onnx-tensorrt")


def test_a_weight_only_file_is_forecast_and_executed_in_float_without_conversions(calibrated, tmp_path):
    path = tmp_path / "m.onnx"
    emit(calibrated("unet", 2).quantize(Plan(weight_only=True)), path, format="onnx-int8", metadata={})
    _, count, wrong = disagreements(path)  # few are found again: the runtime renames what it lays out anew
    assert count > 10
    assert not wrong
    rules = OrtRules(signed=PROCESSOR == "arm")
    assert {rules.verdict(site).runs for site in open_scene(path).sites()} <= {"float", "index"}
    assert {step.kind for step in list_executed(optimized_graph(path))} <= {"float", "index"}


def expect_agreement(quantized, folder, format):
    path = folder / f"{format}.onnx"
    emit(quantized, path, format=format, metadata={})
    found, count, wrong = disagreements(path)
    assert not wrong, f"{format}: {wrong[:5]}"
    assert found >= MATCHED * count


def test_forecast_is_what_is_executed_for_every_operator(tmp_path):
    path, total = tmp_path / "op.onnx", 0
    for case in catalogue():
        for format in ("onnx-int8", "onnx-x86"):
            emit(case.quantized, path, format=format, metadata={})
            found, _, wrong = disagreements(path)
            assert not wrong, f"{format} {case}: {wrong}"
            total += found
    assert total > 200


@pytest.mark.slow
def test_forecast_is_what_is_executed_on_efficientnet_lite0(tmp_path):
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    shape = (1, 3, 224, 224)
    samples = [{"image": np.random.default_rng(seed).normal(size=shape).astype(np.float32)} for seed in range(2)]
    module = lite.EfficientNet.from_name("efficientnet-lite0").eval()
    net = calibrate_module(module, (TensorSpec("image", shape),), samples, name="lite0")
    for format in ("onnx-int8", "onnx-x86"):
        path = tmp_path / f"{format}.onnx"
        emit(net.quantize(), path, format=format, metadata={})
        found, count, wrong = disagreements(path)
        assert not wrong, f"{format}: {wrong[:5]}"
        assert found == count
