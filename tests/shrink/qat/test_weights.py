"""Scales of weights in torch are those of the quantizer, for any weight."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.shrink.qat.fake_quantization import fake_quantize, round_bias
from edgekit.shrink.qat.settings import QatSettings
from edgekit.shrink.qat.weights import least_error, least_scale, peak_scale, settled, weight_specs
from edgekit.shrink.quantization.quantize import Layout
from edgekit.shrink.quantization.ties import tie
from edgekit.shrink.quantization.weights import choose_weight, round_weight
from edgekit.types.graph import Graph, Node, Value

CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
SHAPES = {
    "dense": ("Conv", {**CONV, "group": 1}, (4, 3, 3, 3), 3),
    "depthwise": ("Conv", {**CONV, "group": 6}, (6, 1, 3, 3), 6),
    "grouped": ("Conv", {**CONV, "group": 2}, (4, 3, 1, 1), 6),
    "transposed": ("ConvTranspose", {**CONV, "group": 1, "output_padding": (0, 0)}, (3, 4, 2, 2), 3),
    "transposed-grouped": ("ConvTranspose", {**CONV, "group": 2, "output_padding": (0, 0)}, (4, 3, 2, 2), 4),
    "gemm": ("Gemm", {}, (5, 7), 7),
}


def layout_of(kind, weight):
    op, attributes, _, width = SHAPES[kind]
    maps = op != "Gemm"
    outputs = {"ConvTranspose": weight.shape[1] * attributes.get("group", 1)}.get(op, weight.shape[0])
    values = {
        "x": Value("x", (1, width, 8, 8) if maps else (1, width)),
        "y": Value("y", (1, outputs, 6, 6) if maps else (1, outputs)),
    }
    node = Node("node", op, ("x", "w"), ("y",), attributes)
    graph = Graph("one", ("x",), ("y",), (node,), values, {"w": weight})
    return Layout(tie(graph, {}), {})


@given(
    kind=st.sampled_from(sorted(SHAPES)),
    bits=st.sampled_from([4, 8]),
    per_channel=st.booleans(),
    pair_safe=st.booleans(),
    floor=st.sampled_from([0.0, 1e-3, 10.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_scale_is_what_the_quantizer_would_choose(kind, bits, per_channel, pair_safe, floor, seed):
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal(SHAPES[kind][2]) * 10.0 ** rng.integers(-4, 3)).astype(np.float32)
    layout = layout_of(kind, weight)
    plan = QatSettings(weight_bits=bits, per_channel=per_channel, pair_safe=pair_safe).plan()
    (spec,) = weight_specs(layout, plan)
    (node,) = layout.graph.nodes
    channels = layout.graph.shape("y")[1]
    floors = rng.uniform(0, 1, channels) * floor
    expected = choose_weight(
        layout.graph,
        node,
        weight,
        scheme=plan.scheme,
        floor=floors,
        limit=plan.weight_limit,
        per_channel=per_channel,
    )
    tensor = torch.from_numpy(weight)
    scale = settled(spec, peak_scale(spec, tensor), least_scale(spec, tensor, torch.from_numpy(floors)))
    np.testing.assert_array_equal(scale.numpy(), expected.scale)
    spread = spec.spread(scale, weight.ndim)
    rounded = fake_quantize(tensor, spread, torch.zeros(()), -spec.limit, spec.limit)
    integers = round_weight(weight, expected, limit=plan.weight_limit)
    assert np.abs(integers).max() <= plan.weight_limit
    np.testing.assert_array_equal(rounded.numpy(), expected.dequantize(integers))


@given(seed=st.integers(0, 2**32 - 1))
def test_the_gradient_of_a_learned_scale_is_that_of_lsq(seed):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(40, generator=generator, requires_grad=True)
    scale = torch.tensor(0.1, requires_grad=True)
    fake_quantize(value, scale, torch.zeros(()), -7, 7, 0.5).sum().backward()
    steps = value.detach() / 0.1
    inside = steps.round().abs() <= 7
    slope = torch.where(inside, steps.round() - steps, steps.sign() * 7)
    torch.testing.assert_close(scale.grad, slope.sum() * 0.5, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(value.grad, inside.float())


def test_a_bias_is_a_multiple_of_its_step_and_its_gradient_passes():
    bias = torch.tensor([0.1234567, -3.0], requires_grad=True)
    rounded = round_bias(bias, torch.tensor([1e-2, 0.25]))
    rounded.sum().backward()
    torch.testing.assert_close(rounded.detach(), torch.tensor([0.12, -3.0]))
    assert bias.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "field",
    [{"weight_bits": 5}, {"batchnorm": "gone"}, {"momentum": 0.0}, {"observe_steps": -1}, {"range": "widest"}],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        QatSettings(**field)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_first_4_bit_scale_makes_no_more_error_than_the_whole_range(seed):
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy((rng.standard_t(3, (4, 3, 3, 3))).astype(np.float32))
    (spec,) = weight_specs(layout_of("dense", weight.numpy()), QatSettings(weight_bits=4).plan())
    peak = peak_scale(spec, weight)

    def error(scale):
        spread = spec.spread(scale, weight.ndim)
        rounded = fake_quantize(weight, spread, torch.zeros(()), -spec.limit, spec.limit)
        return (rounded - weight).square().sum((1, 2, 3))

    assert (error(peak * torch.exp(least_error(spec, weight))) <= error(peak) * (1 + 1e-5)).all()
