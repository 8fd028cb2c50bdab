"""The labelled photos of ../shared/data as calibration and scoring sets for EfficientNet-Lite0.

`benchmarks.photos:calibration` is what `edgekit compress --calibration` takes; EDGEKIT_PHOTOS sets how many.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SIDE = 224


def available() -> bool:
    """Whether the data is there; it is not part of the project."""
    return (DATA / "imagenet1000_224_jpegq95.npz").exists()


def calibration() -> Iterator[np.ndarray]:
    """Float32 (1, 3, 224, 224), one photo at a time: every fifth photo; beyond 200, crops and flips of them."""
    count = int(os.environ.get("EDGEKIT_PHOTOS", "200"))
    for index in range(count):
        yield _normalize(_vary(_decode(index * 5 % 1000), index // 200))


def scoring() -> Iterator[np.ndarray]:
    """The 800 photos that never calibrate, one at a time."""
    for index in range(1000):
        if index % 5:
            yield _normalize(_decode(index))


def photo(index: int) -> np.ndarray:
    """Float32 (1, 3, 224, 224) of the photo of class `index`, 0..999."""
    return _normalize(_decode(index))


@functools.cache
def _archive() -> tuple[np.ndarray, np.ndarray]:
    """JPEG bytes of all photos and where each begins; 32 MB, kept for the whole run."""
    with np.load(DATA / "imagenet1000_224_jpegq95.npz", allow_pickle=False) as archive:
        return archive["jpeg"], archive["offsets"]


def _decode(index: int) -> np.ndarray:
    jpeg, offsets = _archive()
    with Image.open(io.BytesIO(jpeg[offsets[index] : offsets[index + 1]].tobytes())) as photo:
        return np.asarray(photo.convert("RGB"))


def _vary(pixels: np.ndarray, variant: int) -> np.ndarray:
    """Variant 0 is the photo; odd ones are flipped, and each pair is shifted a little further."""
    pixels = pixels[:, ::-1] if variant % 2 else pixels
    return np.roll(pixels, variant // 2 * 7, axis=(0, 1))


def _normalize(pixels: np.ndarray) -> np.ndarray:
    scaled = (pixels.astype(np.float32) - 127.0) / 128.0
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
