"""On a trained net and real images: what data is worth before any training."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.training.pruning import prune

pytestmark = pytest.mark.data


def test_a_third_fewer_macs_of_resnet20_cost_little_before_training() -> None:
    from benchmarks.nets.data import cifar_test, cifar_train
    from benchmarks.nets.resnet20 import pretrained

    net = pretrained("cifar_resnet20_jpegft")
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:600].numpy()  # they lie by class
    images, labels = (torch.from_numpy(part[order]) for part in (cifar_train().inputs, cifar_train().labels))
    data = list(zip(images.split(150), labels.split(150), strict=True))
    tests = cifar_test()[slice(None, None, 12)]

    def loss(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(module(batch[0]), batch[1])

    def top1(module: nn.Module) -> float:
        with torch.no_grad():
            answers = module(torch.from_numpy(tests.inputs)).argmax(1)
        return float((answers == torch.from_numpy(tests.labels)).float().mean())

    pruned = prune(net, images[:1], speedup=1.5, round_to=2, data=data, loss=loss)  # type: ignore[arg-type]
    assert pruned.speedup >= 1.5
    assert top1(pruned.model) >= top1(net) - 0.08
