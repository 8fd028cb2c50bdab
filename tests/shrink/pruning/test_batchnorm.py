from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import ShrinkError
from edgekit.shrink.pruning.batchnorm import reestimate_batchnorm


def test_statistics_are_the_plain_average_and_all_else_stays() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    net[1].eval()
    data = [torch.randn(16, 3) * 2 + 5 for _ in range(4)]
    assert reestimate_batchnorm(net, data, batches=3) == 3
    used = torch.stack(data[:3])
    torch.testing.assert_close(net[0].running_mean, used.mean((0, 1)))
    torch.testing.assert_close(net[0].running_var, used.var(1).mean(0))
    assert net[0].momentum == 0.1
    assert net.training
    assert not net[1].training


def test_without_a_batch_nothing_changes() -> None:
    net = nn.BatchNorm1d(3)
    net.running_mean.fill_(7.0)  # type: ignore[union-attr]
    with pytest.raises(ShrinkError, match="no batch"):
        reestimate_batchnorm(net, [])
    assert net.running_mean.tolist() == [7.0] * 3  # type: ignore[union-attr]
    assert reestimate_batchnorm(nn.Linear(2, 2), []) == 0
