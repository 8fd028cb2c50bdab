"""The nets have the shapes the race says, and what calibrates never scores."""

import numpy as np
import pytest
import torch

from benchmarks.nets import data
from benchmarks.nets.catalogue import NETS
from benchmarks.nets.encoder import Encoder
from benchmarks.nets.keywords import KeywordSpotter
from benchmarks.nets.mobilenet import MobileNetV3Like
from benchmarks.nets.resnet20 import ResNet20
from benchmarks.nets.training import Plan, shift, train

MODULES = {"resnet20": ResNet20, "mobilenetv3": MobileNetV3Like, "encoder": Encoder, "keywords": KeywordSpotter}


@pytest.mark.parametrize("name", MODULES)
def test_logits_of_ten_classes(name: str) -> None:
    logits = MODULES[name]().eval()(torch.zeros(NETS[name].shape))
    assert logits.shape == (1, 10)


def test_training_lowers_the_loss_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(128) % 10
    inputs = rng.normal(size=(128, 1, 40, 32)) + labels[:, None, None, None]
    samples = data.Labelled(inputs.astype(np.float32), labels)

    def weights() -> tuple[float, torch.Tensor]:
        torch.manual_seed(1)
        net = train(KeywordSpotter(), samples, Plan(epochs=8, batch=32, augment=shift))
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(samples.inputs)), torch.from_numpy(labels))
        return loss.item(), net.classifier.weight

    (loss, first), (_, second) = weights(), weights()
    assert loss < np.log(10)
    assert torch.equal(first, second)


@pytest.mark.data
@pytest.mark.skipif(not data.available(), reason="needs ../shared/data")
def test_what_trains_never_scores() -> None:
    for train_part, test_part in ((data.digits_train, data.digits_test), (data.speech_train, data.speech_test)):
        seen = {row.tobytes() for row in train_part().inputs}
        assert not any(row.tobytes() in seen for row in test_part().inputs)
