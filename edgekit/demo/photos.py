"""Real photographs that come with scikit-image and scikit-learn: nothing is downloaded.

Calibration sees crops of them: random squares, some mirrored. The check and the table use others: the plain centre
square of each photograph. They are views of the same few scenes, so the demo shows that the files agree with the float
model, and says nothing about accuracy on the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_image

from edgekit.types.qparams import Array

SIDE = 256
"""Side of every stored square, in pixels: the preprocessing then crops 224 from its centre."""

PHOTOS: Mapping[str, Callable[[], Array]] = {
    "astronaut": data.astronaut,
    "cat": data.chelsea,
    "china": lambda: load_sample_image("china.jpg"),
    "clock": data.clock,
    "coffee": data.coffee,
    "coins": data.coins,
    "flower": lambda: load_sample_image("flower.jpg"),
    "motorcycle": lambda: data.stereo_motorcycle()[0],  # type: ignore[no-untyped-call]
    "photographer": data.camera,
    "rocket": data.rocket,
}
"""name -> reader of a uint8 photograph, (H, W, 3) or gray (H, W).

Scenes with things in them. The packages also ship close-ups of grass, brick and the moon; ImageNet has no class for
those, and a net's answer to them is a coin toss in float already.
"""


def write_crops(folder: Path, *, per_photo: int = 12, seed: int = 0) -> int:
    """Write random square crops of every photograph as PNG, half of them mirrored.

    Args:
        folder: Where to; made when absent.
        per_photo: Crops of each photograph.
        seed: Of places, sizes and mirroring; the same seed gives the same files.

    Returns:
        How many were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for name, read in PHOTOS.items():
        photo = _image(read())
        for number in range(per_photo):
            side = round(min(photo.size) * random.uniform(0.5, 1.0))
            left, top = (int(random.integers(0, size - side + 1)) for size in photo.size)
            crop = photo.crop((left, top, left + side, top + side))
            if random.random() < 0.5:
                crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            _save(crop, folder / f"{_slug(name)}-{number}.png")
    return len(PHOTOS) * per_photo


def write_centres(folder: Path) -> dict[str, Path]:
    """Write the centre square of every photograph as PNG; name of the photograph -> its file."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, read in PHOTOS.items():
        photo = _image(read())
        side = min(photo.size)
        left, top = ((size - side) // 2 for size in photo.size)
        written[name] = folder / f"{_slug(name)}.png"
        _save(photo.crop((left, top, left + side, top + side)), written[name])
    return written


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels).convert("RGB")


def _save(square: Image.Image, path: Path) -> None:
    square.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, compress_level=1)


def _slug(name: str) -> str:
    return name.replace(" ", "-")
