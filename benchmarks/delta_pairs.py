"""The releases that `benchmarks.deltas` measures: real nets before and after what makes people publish another version.

EfficientNet-Lite0 with its ImageNet weights: calibrated on other photos; fine-tuned, all layers or the classifier
alone, by plain SGD on labelled photos; pruned; written with another setting that only its metadata tells. ResNet-20 for
CIFAR-10, and the one that was fine-tuned on JPEG copies for many epochs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import edgekit
from benchmarks import photos
from benchmarks.nets import data
from benchmarks.nets.resnet20 import pretrained

FILES = ("model.int8.onnx", "model.qop.int8.onnx", "model.int8.tflite")
PAIRS = {
    "calibrated on other photos": ("lite0", "lite0-recalibrated"),
    "the same, effort `fast`": ("lite0-fast", "lite0-fast-recalibrated"),
    "fine-tuned": ("lite0", "lite0-finetuned"),
    "fine-tuned, a tenth of the rate": ("lite0", "lite0-gently"),
    "classifier fine-tuned": ("lite0", "lite0-head"),
    "pruned, 1.15x fewer MACs": ("lite0", "lite0-pruned"),
    "metadata only": ("lite0", "lite0-metadata"),
    "ResNet-20, fine-tuned for long": ("resnet20", "resnet20-finetuned"),
}
"""What changed -> release before it and after."""
CALIBRATION = 120
STEPS, BATCH, SEED = 60, 16, 7
CALIBRATED, OTHERS = range(0, 1000, 5), range(3, 1000, 5)
"""Photos; training takes neither."""
FAST = {"quantize.effort": "fast"}


def make(folder: Path) -> None:
    """Write a folder of files per release below `folder`; those that are there stay."""
    torch.set_num_threads(1)
    for name, build in RELEASES.items():
        if not all((folder / name / file).exists() for file in FILES):
            print(f"making {name}", file=sys.stderr, flush=True)
            build(folder / name)


def _lite0(
    change: Callable[[nn.Module], nn.Module] = nn.Module.eval,
    *,
    indices: range = CALIBRATED,
    fields: Mapping[str, object] | None = None,
) -> Callable[[Path], None]:
    """What writes EfficientNet-Lite0, changed, calibrated on some photos, with fields of the recipe set."""

    def build(out: Path) -> None:
        from edgekit.demo import lite0

        edgekit.compress(
            change(lite0.build()).eval(),
            calibration=[photos.photo(index) for index in indices[:CALIBRATION]],
            inputs=(edgekit.TensorSpec("image", (1, 3, 224, 224), batch_axis=0),),
            out=out,
            recipe=_recipe(fields or {}),
        )

    return build


def _resnet20(name: str) -> Callable[[Path], None]:
    def build(out: Path) -> None:
        images = data.cifar_train().inputs[::10][:CALIBRATION]
        edgekit.compress(pretrained(name), calibration=[row[None] for row in images], out=out, recipe=_recipe({}))

    return build


def _recipe(fields: Mapping[str, object]) -> edgekit.Recipe:
    return edgekit.Recipe().with_fields({"calibration.samples": CALIBRATION, "check.seconds": 1.0, **fields})


def _pruned(module: nn.Module) -> nn.Module:
    batches = [_batch(np.arange(start, start + 8)) for start in range(1, 161, 10)]
    pruned = edgekit.prune(module, torch.zeros(1, 3, 224, 224), speedup=1.15, data=batches, loss=_loss)  # type: ignore[arg-type]
    module = pruned.model
    return module


def _trained(*, rate: float, head_only: bool = False) -> Callable[[nn.Module], nn.Module]:
    return lambda module: _train(module, rate=rate, head_only=head_only)


def _train(net: nn.Module, *, rate: float, head_only: bool) -> nn.Module:
    """Plain SGD with momentum on the photos that never calibrate; BatchNorm keeps its statistics up to date."""
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    chosen = np.array([index for index in range(1000) if index % 5 in (1, 2)])
    *_, head = (module for module in net.modules() if isinstance(module, nn.Linear))
    optimizer = torch.optim.SGD((head if head_only else net).parameters(), lr=rate, momentum=0.9, weight_decay=1e-5)
    net.train(not head_only)
    for _ in range(STEPS):
        batch = _batch(random.choice(chosen, BATCH, replace=False))
        optimizer.zero_grad()
        _loss(net, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net.eval()


def _batch(indices: np.ndarray) -> tuple[Tensor, Tensor]:
    images = np.concatenate([photos.photo(int(index)) for index in indices])
    return torch.from_numpy(images), torch.from_numpy(np.asarray(indices, np.int64))


def _loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, labels = batch
    return functional.cross_entropy(net(images), labels)


RELEASES: dict[str, Callable[[Path], None]] = {
    "lite0": _lite0(),
    "lite0-recalibrated": _lite0(indices=OTHERS),
    "lite0-fast": _lite0(fields=FAST),
    "lite0-fast-recalibrated": _lite0(indices=OTHERS, fields=FAST),
    "lite0-finetuned": _lite0(_trained(rate=1e-3)),
    "lite0-gently": _lite0(_trained(rate=1e-4)),
    "lite0-head": _lite0(_trained(rate=1e-2, head_only=True)),
    "lite0-pruned": _lite0(_pruned),
    "lite0-metadata": _lite0(fields={"check.seconds": 5.0}),
    "resnet20": _resnet20("cifar_resnet20"),
    "resnet20-finetuned": _resnet20("cifar_resnet20_jpegft"),
}
