import math
from dataclasses import replace

import numpy as np
import pytest

from edgekit.check.layer_causes import Circumstances, explain, weight_sqnr
from edgekit.check.value_meter import ValueMeter
from edgekit.types.graph import Graph, Node, Value
from edgekit.types.qparams import QParams, choose_activation


def around(incoming_db=math.inf, weights_db=math.inf, *, node=None, graph=None):
    return Circumstances(node, graph, incoming_db, weights_db)


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


def test_crest_factor_is_peak_over_root_mean_square():
    values = np.full((1, 4, 25), 0.1, np.float32)
    values[0, 0, 0] = -10.0
    meter = ValueMeter(None, 1)
    meter.add(values, values)
    assert meter.crest_factor == pytest.approx(10.0 / np.sqrt((values**2).mean()), rel=1e-5)
    silent = ValueMeter(None, 1)
    silent.add(np.zeros((1, 2)), np.zeros((1, 2)))
    assert silent.crest_factor == 1.0


def test_causes():
    params = choose_activation(0.0, 100.0)
    spread = np.full((1, 8, 10), 0.5, np.float32)
    spread[0, 0] = 99.0
    near = meter_of(spread[:, 1:], params)
    assert "a few large values set the range" in explain(near, params, around(50.0))[0]
    shifted = np.full((1, 2, 10), 90.0, np.float32)
    shifted[0, 0, 0] = 100.0
    assert any("zero must be in it" in cause for cause in explain(meter_of(shifted, params), params, around(80.0)))
    low = meter_of(np.linspace(0, 20, 80, dtype=np.float32).reshape(1, 8, 10), params)
    assert any("outliers of the calibration set" in c for c in explain(low, params, around(80.0, 99.0)))
    fine = meter_of(np.linspace(0, 100, 80, dtype=np.float32).reshape(1, 8, 10), params)
    assert explain(fine, params, around()) == []
    (weak,) = explain(fine, params, around(60.0, 12.0))
    assert weak.startswith("its int8 weights hold only 12.0 dB of the float weights: ")
    assert "comes with its inputs" in explain(fine, params, around(fine.noise.db))[0]


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


def loud_channel():
    values = np.full((1, 8, 100), 0.5, np.float32)
    values[0, 0] = 99.0
    values[0, 7] = 0.0
    return values


def test_a_loud_channel_starves_the_others_though_the_value_as_a_whole_looks_fine():
    params = choose_activation(0.0, 100.0)
    meter = meter_of(loud_channel(), params)
    assert meter.noise.db > 40
    assert meter.typical_steps > 80
    assert meter.channel_steps == pytest.approx(0.5 / (100 / 255), rel=1e-3)
    (only,) = explain(meter, params, around(60.0))
    assert "most of its channels are typically 1.3 steps of 0.392: one scale serves channels" in only
    assert "equalizing the channels" in only


def test_who_reads_starved_channels_says_where_they_come_from():
    params = choose_activation(-1.0, 1.0)
    meter = meter_of(np.linspace(-1, 1, 400, dtype=np.float32).reshape(1, 4, 100), params)
    (cause,) = explain(meter, params, replace(around(90.0), starved=("block.expand (Conv)",)))
    assert cause.startswith("block.expand (Conv) hands it most channels in few steps")
    assert explain(meter, params, replace(around(meter.noise.db + 2), starved=("block.expand (Conv)",))) == []


def test_dead_channels_are_not_lost():
    params = choose_activation(0.0, 1.0)
    values = np.zeros((1, 8, 100), np.float32)
    values[0, :2] = np.linspace(0, 1, 100)
    assert meter_of(values, params).channel_steps > 100
    assert meter_of(np.zeros((1, 8, 100), np.float32), params).channel_steps == math.inf


@pytest.mark.parametrize(
    ("op", "shapes", "words"),
    [
        ("Mul", {"a": (1, 4, 6, 6), "b": (1, 4, 1, 1)}, "gates whole channels"),
        ("Mul", {"b": (1, 4, 1, 1), "a": (1, 4, 6, 6)}, "gates whole channels"),
        ("Softmax", {"a": (1, 4)}, "fixed at 1/256"),
        ("LayerNormalization", {"a": (1, 3, 4)}, "quiet rows"),
    ],
)
def test_operators_known_for_trouble(op, shapes, words):
    node = Node("n", op, tuple(shapes), ("y",), {}, "block")
    values = {name: Value(name, shape) for name, shape in {**shapes, "y": (1, 4)}.items()}
    graph = Graph("g", tuple(shapes), ("y",), (node,), values, {})
    params = choose_activation(-1.0, 1.0)
    meter = meter_of(np.linspace(-1, 1, 400, dtype=np.float32).reshape(1, 4, 100), params)
    assert any(words in cause for cause in explain(meter, params, around(90.0, node=node, graph=graph)))
    assert explain(meter, params, around(meter.noise.db + 2, node=node, graph=graph)) == []


def test_a_product_of_equal_maps_is_no_gate():
    node = Node("n", "Mul", ("a", "b"), ("y",), {}, "block")
    values = {name: Value(name, (1, 4, 6, 6)) for name in "aby"}
    graph = Graph("g", ("a", "b"), ("y",), (node,), values, {})
    params = choose_activation(-1.0, 1.0)
    meter = meter_of(np.linspace(-1, 1, 400, dtype=np.float32).reshape(1, 4, 100), params)
    assert explain(meter, params, around(90.0, node=node, graph=graph)) == []
