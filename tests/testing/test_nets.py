"""The small networks: the same every time, alive in every channel, and fed with signals rather than noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.testing.nets.inputs import smooth, tokens
from edgekit.testing.nets.table import NETS, batches, build, sample_inputs


def outputs(name: str, module: nn.Module, inputs: dict[str, np.ndarray]) -> list[torch.Tensor]:
    with torch.no_grad():
        result = module(*(torch.from_numpy(inputs[spec.name]) for spec in NETS[name].inputs))
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", NETS)
def test_a_net_runs_on_its_own_inputs_and_tells_them_apart(name: str) -> None:
    module = build(name)
    assert not any(child.training for child in module.modules())
    first, second = (outputs(name, module, inputs)[0].float() for inputs in sample_inputs(name, 2))
    assert torch.isfinite(first).all()
    assert (first - second).abs().max() > 0.02 * first.abs().max()


@pytest.mark.parametrize("name", ["resnet8", "gru", "multi_input"])
def test_the_same_seed_gives_the_same_net_and_inputs(name: str) -> None:
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    one, two, other = build(name, seed=3), build(name, seed=3), build(name, seed=4)
    assert torch.equal(torch.random.get_rng_state(), state), "building a net must not disturb the caller's generator"
    pairs = list(zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for a, b in zip(sample_inputs(name, 2, seed=5), sample_inputs(name, 2, seed=5), strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v3", "audio_1d"])
def test_batchnorm_statistics_are_those_of_the_data(name: str) -> None:
    """What reaches each BatchNorm has about the mean and deviation that it divides by; fresh modules have 0 and 1."""
    module = build(name, seed=1)
    seen: dict[str, tuple[torch.Tensor, nn.Module]] = {}

    def look(key: str):  # type: ignore[no-untyped-def]
        return lambda child, inputs, _: seen.__setitem__(key, (inputs[0], child))

    for key, child in module.named_modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            child.register_forward_hook(look(key))
    with torch.no_grad():
        module(*batches(name, size=64, count=1, seed=99)[0])
    assert seen
    for key, (x, norm) in seen.items():
        axes = [axis for axis in range(x.ndim) if axis != 1]
        ratio = (x.std(axes) / norm.running_var.sqrt()).median()
        assert 0.7 < ratio < 1.4, f"{key}: the data deviates by {ratio:.2f} of what the statistics say"


def test_inputs_have_the_declared_border() -> None:
    for name, net in NETS.items():
        sample = sample_inputs(name, 1)[0]
        assert list(sample) == [spec.name for spec in net.inputs]
        for spec in net.inputs:
            assert sample[spec.name].shape == spec.shape
            assert sample[spec.name].dtype == spec.dtype


def test_smooth_signals_are_correlated_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    field = smooth((64, 64), rng)
    noise = rng.standard_normal((64, 64))
    neighbours = [np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1] for x in (field, noise)]
    assert neighbours[0] > 0.7
    assert abs(neighbours[1]) < 0.1
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-4)


def test_tokens_stay_in_the_vocabulary_and_follow_zipf() -> None:
    drawn = tokens((4000,), np.random.default_rng(1), vocabulary=10)
    counts = np.bincount(drawn, minlength=10)
    assert len(counts) == 10
    assert counts[0] > 1.5 * counts[1] > 1.5 * counts[9]
