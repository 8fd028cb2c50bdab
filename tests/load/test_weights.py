"""State dicts: found in what training scripts save, stripped of wrappers, loaded all or not at all."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import ModelLoadError
from edgekit.load.weights import find_weights, load_weights


def net(*, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 4, 3), norm=nn.BatchNorm2d(4), head=nn.Linear(4, classes)))


def state(value: float, *, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + name: torch.full_like(tensor, value) for name, tensor in net().state_dict().items()}


def loaded(checkpoint: object) -> tuple[float, list[str]]:
    """Load into a fresh net; its head's bias, and the codes of the findings."""
    module = net()
    findings = load_weights(module, find_weights(checkpoint), maker="nets.py:build")
    return module.head.bias[0].item(), [finding.code for finding in findings]


@pytest.mark.parametrize(
    "checkpoint",
    [
        state(2),
        OrderedDict(state(2)),
        {"state_dict": state(2), "epoch": 3},
        {"model": state(2), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "args": {"lr": 0.1}},
        {"checkpoint": {"net": state(2)}},
        {"weird name": state(2), "loss": torch.ones(1)},
        state(2, prefix="module."),
        state(2, prefix="_orig_mod."),
        state(2, prefix="module._orig_mod."),
        {"state_dict": state(2, prefix="model.")},
        {name: tensor for name, tensor in state(2).items() if not name.endswith("num_batches_tracked")},
        {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state(2).items()},
    ],
)
def test_what_training_scripts_save(checkpoint: object) -> None:
    assert loaded(checkpoint) == (2, [])


def test_averaged_weights_come_first_and_that_is_said() -> None:
    checkpoint = {"state_dict": state(1), "state_dict_ema": state(2)}
    module = net()
    findings = load_weights(module, find_weights(checkpoint), maker="m")
    assert module.head.bias[0].item() == 2
    assert "'state_dict_ema' is used, not 'state_dict'" in findings[0].message
    assert loaded({"ema": {"module": state(3)}, "model": state(1)}) == (3, ["weights-chosen"])


def test_averaged_weights_that_lack_the_statistics_give_way() -> None:
    partial = {name: tensor for name, tensor in state(2).items() if "running" not in name}
    assert loaded({"ema": partial, "model": state(1)}) == (1, ["weights-chosen"])


def test_averaging_and_lightning_leave_tensors_of_their_own() -> None:
    averaged = {"n_averaged": torch.tensor(7), **state(2, prefix="module.")}
    assert loaded(averaged) == (2, ["weights-left-out"])
    lightning = {"state_dict": {**state(2, prefix="model."), "criterion.weight": torch.ones(3)}}
    assert loaded(lightning) == (2, ["weights-left-out"])


def test_a_misfit_is_described_and_nothing_is_changed() -> None:
    module = net(classes=5)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ModelLoadError, match=r"2 of another shape \(head.weight is 3x4, the module has 5x4") as caught:
        load_weights(module, find_weights({"model": state(2)}), maker="nets.py:build")
    assert "number of classes" in caught.value.hint
    assert str(caught.value).startswith("the 9 tensors under 'model' do not fit the 9 of nets.py:build")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_other_names_are_described() -> None:
    renamed = {name.replace("head", "fc"): tensor for name, tensor in state(2).items()}
    with pytest.raises(ModelLoadError, match=r"2 missing \(head.weight, head.bias\), 2 unexpected \(fc.weight, fc.b"):
        loaded(renamed)
    with pytest.raises(ModelLoadError, match=r"8 missing .*, \.\.\.\), 1 unexpected \(x\)") as caught:
        loaded({"x": torch.ones(1)})
    assert "no name fits" in caught.value.hint


@pytest.mark.parametrize("value", [None, [], {}, {"a": 1}, {1: torch.ones(1)}, {"optimizer": state(1)}, torch.ones(2)])
def test_no_weights_are_found_where_there_are_none(value: object) -> None:
    assert find_weights(value) == []
