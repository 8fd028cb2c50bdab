import pytest

from edgekit.check.layer_costs import LayerCost
from edgekit.check.layers import rate_layers
from edgekit.types.output_noise import OutputNoise
from edgekit.types.qparams import choose_activation


def rate(net, quantized, files, count=4, **known):
    samples = [sample for sample, _ in zip(net.samples, range(count), strict=False)]
    return rate_layers(files["onnx-fp32"].path, files["onnx-int8"].path, quantized, samples, **known)


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


def test_every_value_that_int8_changes_is_rated(small_net):
    layers = rate(small_net, small_net.quantized, small_net.files)
    assert {layer.value for layer in layers} == {"h1", "h2", "s", "p", "f", "scores"}
    assert all(layer.crest_factor > 1.0 for layer in layers)


def test_prices_and_shares_are_those_that_were_given(small_net):
    noise = OutputNoise({"n2": 0.01}, {"h2": 0.02, "scores": 0.01}, 4)
    known = {"noise": noise, "costs": {"n2": LayerCost(0.5, 432)}}
    layers = {layer.value: layer for layer in rate(small_net, small_net.quantized, small_net.files, **known)}
    assert layers["h2"].output_share == pytest.approx(0.75)
    assert (layers["h2"].float_ms, layers["h2"].float_bytes) == (0.5, 432)
    assert layers["scores"].output_share == pytest.approx(0.25)
    assert (layers["scores"].float_ms, layers["scores"].float_bytes) == (None, None)
    bare = rate(small_net, small_net.quantized, small_net.files)
    assert all(layer.output_share is None for layer in bare)
