from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.demo import photos


def pixels(folder: Path) -> dict[str, bytes]:
    return {path.name: np.asarray(Image.open(path)).tobytes() for path in sorted(folder.iterdir())}


def test_crops_are_squares_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert photos.write_crops(tmp_path / name, per_photo=1, seed=seed) == len(photos.PHOTOS)
    assert pixels(tmp_path / "a") == pixels(tmp_path / "b")
    assert pixels(tmp_path / "a") != pixels(tmp_path / "c")
    for path in (tmp_path / "a").iterdir():
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((photos.SIDE, photos.SIDE), "RGB")


def test_the_table_shows_what_calibration_did_not_see(tmp_path: Path) -> None:
    photos.write_crops(tmp_path / "crops", per_photo=2)
    centres = photos.write_centres(tmp_path / "centres")
    assert list(centres) == list(photos.PHOTOS)
    assert not set(pixels(tmp_path / "crops").values()) & set(pixels(tmp_path / "centres").values())


def test_every_photograph_is_a_photograph() -> None:
    for name, read in photos.PHOTOS.items():
        photo = read()
        assert photo.dtype == np.uint8
        assert min(photo.shape[:2]) >= 224, name
        assert len(np.unique(photo)) > 100, f"{name} has too few levels for a photograph"
