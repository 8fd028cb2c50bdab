"""What training ends with is what the quantizer writes: before any step, and after some."""

import numpy as np
import pytest

from edgekit.emit.exporter import emit
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.ort import open_onnx
from edgekit.runtime.reference import ReferenceSession
from edgekit.shrink.qat.finish import finish
from edgekit.shrink.quantization.quantize import quantize
from edgekit.testing.nets.table import NETS
from edgekit.types.qparams import same
from tests.flow.test_nets import LSB_BOUNDS
from tests.shrink.qat.conftest import outputs_of, take_steps

OPENERS = {"onnx-int8": open_onnx, "tflite-int8": open_tflite}
CLOSE = ("ds_cnn", "transformer")
"""Nets that every setting is tried on: convolutions with folded BatchNorms, attention and an embedding."""


def assert_same(found, expected):
    assert found.qparams.keys() == expected.qparams.keys()
    assert found.integers.keys() == expected.integers.keys()
    for name, params in expected.qparams.items():
        assert same(found.qparams[name], params), name
    for name, integers in expected.integers.items():
        np.testing.assert_array_equal(found.integers[name], integers, err_msg=name)


@pytest.mark.parametrize("name", NETS)
def test_an_untrained_net_gets_the_integers_of_plain_quantization(prepared, observed, name):
    qat, net = prepared(name), observed(name)
    assert_same(finish(qat), quantize(net.graph, net.histograms, qat.plan))


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_bits": 4},
        {"per_channel": False},
        {"weight_bits": 4, "per_channel": False, "symmetric": True},
        {"learn_scales": True},
        {"learn_scales": True, "symmetric": True},
        {"pair_safe": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", CLOSE)
def test_every_setting_starts_at_plain_quantization(prepared, observed, name, settings):
    qat, net = prepared(name, **settings), observed(name)
    assert_same(finish(qat), quantize(net.graph, net.histograms, qat.plan))


def differences(qat, quantized, sessions, samples):
    """session name -> largest difference from the module's own forward, in steps of the output."""
    worst = dict.fromkeys(sessions, 0.0)
    for sample in samples:
        expected = outputs_of(qat, sample)
        for label, session in sessions.items():
            found = session.run(sample)
            for output, array in expected.items():
                params = quantized.qparams.get(output)
                step = 1.0 if params is None else float(params.scale)
                gap = np.abs(found[output].astype(np.float64) - array).max() / step
                worst[label] = max(worst[label], float(gap))
    return worst


def check_files(qat, net, folder, bound):
    quantized = finish(qat)
    sessions = {"reference": ReferenceSession(quantized)}
    for format, opener in OPENERS.items():
        path = folder / f"model.{format}"
        emit(quantized, path, format=format, metadata={})
        sessions[format] = opener(path)
    found = differences(qat, quantized, sessions, net.held_back)
    assert max(found.values()) <= bound + 1e-3, found


@pytest.mark.parametrize("name", NETS)
def test_the_forward_pass_is_what_every_file_computes(prepared, observed, tmp_path, name):
    net = observed(name)
    qat = take_steps(prepared(name), net.calibration)
    check_files(qat, net, tmp_path, LSB_BOUNDS.get(name, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_bits": 4},
        {"per_channel": False},
        {"learn_scales": True},
        {"learn_scales": True, "weight_bits": 4, "symmetric": True},
        {"batchnorm": "live"},
        {"float_modules": ("head*", "fc*", "classifier*", "embedding*")},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", CLOSE)
def test_every_setting_is_what_every_file_computes(prepared, observed, tmp_path, name, settings):
    net = observed(name)
    qat = take_steps(prepared(name, **settings), net.calibration)
    check_files(qat, net, tmp_path, LSB_BOUNDS.get(name, 2))
