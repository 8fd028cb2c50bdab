"""The table of small networks: how each is built, what it takes, and inputs to run it on."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from edgekit.testing.nets import classifiers, dense, sequence, sound, zoo
from edgekit.testing.nets.inputs import draw
from edgekit.types.qparams import Array
from edgekit.types.spec import TensorSpec


@dataclass(frozen=True)
class Net:
    """One small network.

    Attributes:
        make: Called without arguments, gives the untrained module.
        inputs: What `forward` takes, at batch 1, in calling order.
        vocabulary: Integer inputs lie in [0, vocabulary).
    """

    make: Callable[[], nn.Module]
    inputs: tuple[TensorSpec, ...]
    vocabulary: int = 2


def _image(side: int, *, width: int = 0) -> tuple[TensorSpec, ...]:
    return (TensorSpec("image", (1, 3, side, width or side)),)


_SERIES = (TensorSpec("features", (1, 16, 10)),)

NETS: dict[str, Net] = {
    "ds_cnn": Net(sound.DsCnn, (TensorSpec("spectrogram", (1, 1, 49, 10)),)),
    "audio_1d": Net(sound.WaveNet1d, (TensorSpec("waveform", (1, 1, 1024)),)),
    "resnet8": Net(classifiers.ResNet8, _image(32)),
    "mobilenet_v3": Net(classifiers.MobileNetV3, _image(64)),
    "silu_net": Net(classifiers.SiluNet, _image(48)),
    "shufflenet": Net(classifiers.ShuffleNet, _image(64)),
    "unet": Net(dense.UNet, _image(32)),
    "ssd": Net(dense.Detector, _image(48)),
    "transformer": Net(sequence.TextEncoder, (TensorSpec("ids", (1, 16), "int64"),), sequence.TextEncoder.vocabulary),
    "vit": Net(sequence.VisionTransformer, _image(32)),
    "lstm": Net(partial(sequence.RecurrentClassifier, nn.LSTM), _SERIES),
    "lstm_stacked": Net(partial(sequence.RecurrentClassifier, nn.LSTM, layers=2), _SERIES),
    "gru": Net(partial(sequence.RecurrentClassifier, nn.GRU), _SERIES),
    "gru_bidirectional": Net(partial(sequence.RecurrentClassifier, nn.GRU, bidirectional=True), _SERIES),
    "multi_input": Net(
        zoo.MultiInput,
        (
            TensorSpec("image", (1, 3, 24, 24)),
            TensorSpec("numbers", (1, 6)),
            TensorSpec("kind", (1,), "int64"),
        ),
        vocabulary=11,
    ),
    "zoo_activations": Net(zoo.ActivationZoo, _image(16)),
    "zoo_convolutions": Net(zoo.ConvolutionZoo, _image(20, width=24)),
    "zoo_shapes": Net(zoo.ShapeZoo, _image(16, width=24)),
    "segmenter": Net(zoo.Segmenter, _image(24)),
}
"""name -> network. Every module has statistics and weights as after training, not as after `__init__`."""


def build(name: str, *, seed: int = 0) -> nn.Module:
    """Make a network whose BatchNorm statistics fit its weights; in eval mode, same seed, same weights.

    Args:
        name: Key of `NETS`.
        seed: Of the weights and of the batches that the statistics are taken from.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = NETS[name].make()
        _scatter(module)
        _warm(module, batches(name, size=16, count=4, seed=seed + 1))
    return module.eval()


def sample_inputs(name: str, count: int, *, seed: int = 0) -> list[dict[str, Array]]:
    """`count` inputs of a network: input name -> array at batch 1, smooth and correlated (see `inputs.draw`)."""
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    net = NETS[name]
    return [{spec.name: draw(spec, rng, vocabulary=net.vocabulary) for spec in net.inputs} for _ in range(count)]


def batches(name: str, *, size: int, count: int, seed: int = 0) -> list[tuple[torch.Tensor, ...]]:
    """`count` batches of `size` samples each, as the positional arguments of `forward`."""
    found = []
    for index in range(count):
        samples = sample_inputs(name, size, seed=seed * 1009 + index)
        found.append(
            tuple(torch.from_numpy(np.concatenate([s[spec.name] for s in samples])) for spec in NETS[name].inputs)
        )
    return found


def _scatter(module: nn.Module) -> None:
    """Give layers the gain and the spread between channels that training gives; torch's own start is too flat."""
    for child in module.modules():
        if isinstance(child, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(child.weight)
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(child.weight, 0.5, 1.5)
            nn.init.normal_(child.bias, 0.0, 0.2)
        elif isinstance(child, nn.PReLU):
            nn.init.uniform_(child.weight, 0.05, 0.4)
    for name, parameter in module.named_parameters():
        if name in ("token", "positions"):
            nn.init.normal_(parameter, 0.0, 0.3)
        elif "weight_ih" in name or "weight_hh" in name:
            nn.init.xavier_normal_(parameter, gain=1.5)


def _warm(module: nn.Module, calls: list[tuple[torch.Tensor, ...]]) -> None:
    """Replace running statistics by the averages over `calls`; dropout stays off."""
    norms = [child for child in module.modules() if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
        norm.train()
    with torch.no_grad():
        for call in calls:
            module(*call)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
