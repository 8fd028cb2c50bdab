import math
from dataclasses import replace

import numpy as np
import pytest

from edgekit.check.layers import ValueMeter, explain, weight_sqnr, worst_layers
from edgekit.types.qparams import QParams, choose_activation


def rate(net, quantized, files, count=4):
    samples = [sample for sample, _ in zip(net.samples, range(count), strict=False)]
    return worst_layers(files["onnx-fp32"].path, files["onnx-int8"].path, quantized, samples)


def test_layers_are_named_by_module_and_sorted(small_net):
    layers = rate(small_net, small_net.quantized, small_net.files)
    assert [layer.sqnr_db for layer in layers] == sorted(layer.sqnr_db for layer in layers)
    assert {"stem.conv (Conv)", "head (Gemm)"} <= {layer.label for layer in layers}
    assert all(20 < layer.sqnr_db < 70 for layer in layers)


def test_a_layer_with_a_spoilt_scale_is_the_worst_and_knows_why(small_net, rewrite):
    narrow = choose_activation(-0.2, 0.2)
    quantized, files = rewrite(small_net.quantized, qparams={**small_net.quantized.qparams, "h2": narrow})
    worst = rate(small_net, quantized, files)[0]
    assert worst.label == "block.depthwise (Conv)"
    assert worst.saturated_share > 0.2
    assert "outside the calibrated range" in worst.causes[0]
    assert worst.input_sqnr_db > worst.sqnr_db + 10


def test_a_scale_that_is_far_too_wide(small_net, rewrite):
    wide = choose_activation(-100.0, 100.0)
    quantized, files = rewrite(small_net.quantized, qparams={**small_net.quantized.qparams, "h2": wide})
    layer = next(found for found in rate(small_net, quantized, files) if found.value == "h2")
    assert any("typically" in cause for cause in layer.causes)
    assert any("of its range" in cause for cause in layer.causes)
    assert layer.saturated_share == 0


def test_uint8_files_read_the_same(small_net):
    paths = {"onnx-fp32": small_net.files["onnx-fp32"], "onnx-int8": small_net.files["onnx-x86"]}
    canonical = rate(small_net, small_net.quantized, small_net.files)
    shifted = rate(small_net, small_net.quantized, paths)
    assert [layer.value for layer in shifted] == [layer.value for layer in canonical]
    assert [layer.sqnr_db for layer in shifted] == pytest.approx([layer.sqnr_db for layer in canonical], abs=0.01)


def test_an_island_is_rated_without_a_scale(island_net):
    layers = {layer.value: layer for layer in rate(island_net, island_net.quantized, island_net.files)}
    if "e" not in island_net.quantized.qparams:
        assert layers["e"].scale is None
    assert "gate (Exp)" in {layer.label for layer in layers.values()}


def test_files_with_int8_borders_can_be_tapped(small_net, rewrite):
    quantized, files = rewrite(small_net.quantized, io="int8")
    float_borders = rate(small_net, small_net.quantized, small_net.files)
    assert [layer.sqnr_db for layer in rate(small_net, quantized, files)] == pytest.approx(
        [layer.sqnr_db for layer in float_borders], abs=0.01
    )


def meter_of(values, params):
    meter = ValueMeter(params, 1)
    meter.add(values, params.dequantize(params.quantize(values)))
    return meter


def test_channel_spread_is_peak_over_median_peak():
    values = np.ones((1, 5, 4), np.float32)
    values[0, 2] = 50.0
    meter = ValueMeter(None, 1)
    meter.add(values, values)
    assert meter.channel_spread == 50.0
    assert (meter.saturated_share, meter.typical_steps) == (0.0, math.inf)


def test_saturated_share_counts_values_out_of_reach():
    values = np.array([[-2.0, 0.0, 0.5, 2.0]], np.float32)
    assert meter_of(values, choose_activation(-1.0, 1.0)).saturated_share == 0.5


def test_causes():
    params = choose_activation(0.0, 100.0)
    spread = np.full((1, 8, 10), 0.5, np.float32)
    spread[0, 0] = 99.0
    near = meter_of(spread[:, 1:], params)
    assert "a few large values set the range" in explain(near, params, incoming_db=50.0, weights_db=math.inf)[0]
    shifted = np.full((1, 2, 10), 90.0, np.float32)
    shifted[0, 0, 0] = 100.0
    assert any(
        "zero must be in it" in cause
        for cause in explain(meter_of(shifted, params), params, incoming_db=80.0, weights_db=math.inf)
    )
    low = meter_of(np.linspace(0, 20, 80, dtype=np.float32).reshape(1, 8, 10), params)
    assert any("outliers of the calibration set" in c for c in explain(low, params, incoming_db=80.0, weights_db=99.0))
    fine = meter_of(np.linspace(0, 100, 80, dtype=np.float32).reshape(1, 8, 10), params)
    assert explain(fine, params, incoming_db=math.inf, weights_db=math.inf) == []
    assert explain(fine, params, incoming_db=60.0, weights_db=12.0) == [
        "its int8 weights hold only 12.0 dB of the float weights"
    ]
    assert "comes with its inputs" in explain(fine, params, incoming_db=fine.noise.db, weights_db=math.inf)[0]


def test_weight_sqnr_sees_coarse_weights(small_net):
    quantized, node = small_net.quantized, small_net.quantized.graph.nodes[0]
    fine = weight_sqnr(node, quantized)
    scale = quantized.qparams["w1"].scale * 16
    coarse = QParams(scale, np.zeros_like(quantized.qparams["w1"].zero_point), "int8", 0)
    changed = replace(
        quantized,
        qparams={**quantized.qparams, "w1": coarse},
        integers={**quantized.integers, "w1": coarse.quantize(quantized.graph.constants["w1"])},
    )
    assert fine > 35
    assert weight_sqnr(node, changed) == pytest.approx(fine - 24, abs=4)
    assert weight_sqnr(quantized.graph.nodes[2], quantized) == math.inf
