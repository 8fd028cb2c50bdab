"""Taps see what inner layers give, and leave the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.shrink.distillation.taps import last_feature_map, tapped


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_a_tap_gives_the_layers_output_in_the_asked_order() -> None:
    model, inputs = net(), torch.rand(2, 1, 6, 6)
    with tapped(model, ("1", "0")) as taps:
        model(inputs)
        after, before = taps.take()
    assert torch.equal(after, before.relu())
    assert torch.equal(before, model[0](inputs))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_that_did_not_run_is_named() -> None:
    with tapped(net(), ("0",)) as taps, pytest.raises(InputError, match="the tapped layer '0' did not run"):
        taps.take()


def test_an_unknown_layer_is_answered_with_the_nearest() -> None:
    model = nn.Sequential()
    model.add_module("features", net())
    with (
        pytest.raises(InputError, match=r"the student has no layer 'feature\.1'; the nearest are: features\.1"),
        tapped(model, ("feature.1",), owner="student"),
    ):
        pass


def test_the_last_feature_map_is_found() -> None:
    model = net()
    assert last_feature_map(model, lambda: model(torch.rand(2, 1, 6, 6))) == "1"
    assert last_feature_map(model[4], lambda: model[4](torch.rand(2, 4))) is None
