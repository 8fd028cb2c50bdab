import pytest
import torch
from torch import nn

from edgekit.training.speed_claim import LEAST, judge_speed, measure_speed


def net(width):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 3 * width, 3), nn.ReLU()).eval()


def test_a_net_of_a_quarter_of_the_width_is_measured_faster(tmp_path):
    ratio = measure_speed(net(64), net(16), torch.zeros(1, 3, 32, 32), None, workdir=tmp_path, seed=0)
    assert 0 < ratio < 0.6


@pytest.mark.parametrize(("time_share", "macs_share"), [(0.5, 0.5), (0.62, 0.5), (1.0, 0.81)])
def test_a_claim_that_holds(time_share, macs_share):
    assert judge_speed(time_share, macs_share) is None


@pytest.mark.parametrize(("time_share", "macs_share", "said"), [(0.64, 0.5, "1.56x as fast"), (1.2, 0.5, "slower")])
def test_a_claim_that_does_not_is_refused(time_share, macs_share, said):
    finding = judge_speed(time_share, macs_share)
    assert said in finding.message
    assert "no speedup of 2.0x may be claimed" in finding.message
    assert (1 / time_share) / (1 / macs_share) < LEAST
