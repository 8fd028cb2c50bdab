from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import RecipeError, ShrinkError
from edgekit.shrink.pruning.masks import sparsify, two_of_four


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 4, 10))


def test_two_of_four_keeps_the_two_largest_of_every_run() -> None:
    weight = torch.tensor([[1.0, -4.0, 3.0, 2.0, 9.0]])
    assert two_of_four(weight).tolist() == [[False, True, True, False, True]]


@pytest.mark.parametrize("pattern", ["2:4", "unstructured"])
def test_masks_hold_through_training_and_finish_bakes_them(pattern: str) -> None:
    module = net()
    sparsity = sparsify(module, pattern=pattern, steps=4)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.05)
    shares = [sparsity.sparsity]
    for _ in range(6):
        module(torch.randn(4, 8, 4, 4)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        sparsity.step()
        shares.append(sparsity.sparsity)
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    wanted = [0.5 * (1 - (1 - step / 4) ** 3) for step in range(1, 5)]
    assert shares[1:5] == pytest.approx(wanted, abs=0.01)
    finished = sparsity.finish()
    assert set(finished.state_dict()) == set(net().state_dict())
    zeros = sum(int((layer.weight == 0).sum()) for layer in (module[0], module[3]))
    assert zeros == 0.5 * (module[0].weight.numel() + module[3].weight.numel())
    if pattern == "2:4":
        fours = module[3].weight.reshape(10, -1, 4)
        assert bool(((fours == 0).sum(-1) == 2).all())
    assert "faster" in sparsity.note


def test_finishing_early_and_wrong_settings_are_refused() -> None:
    with pytest.raises(ShrinkError, match="step 0 of 3"):
        sparsify(net(), steps=3).finish()
    with pytest.raises(ShrinkError, match=r"share of zeros of 0\.5"):
        sparsify(net(), amount=0.7)
    with pytest.raises(RecipeError):
        sparsify(net(), pattern="1:4")
    with pytest.raises(ShrinkError, match="no layer"):
        sparsify(nn.ReLU())
