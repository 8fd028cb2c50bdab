from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekit.demo import lite0, photos
from edgekit.load.images import read_image
from edgekit.load.presets import parse_preprocessing
from edgekit.types.recipe import Recipe

ROOT = Path(__file__).parents[2]


def test_the_float_net_knows_what_is_on_the_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights, preprocessing and class names belong together: any of them wrong, and these answers are wrong."""
    module = lite0.build()
    assert capsys.readouterr().out == ""
    centres = photos.write_centres(tmp_path)
    expected = {"cat": "cat", "coffee": "espresso", "flower": "daisy", "motorcycle": "moped", "photographer": "tripod"}
    for name, word in expected.items():
        with torch.inference_mode():
            logits = module(torch.from_numpy(read_image(centres[name], lite0.PREPROCESSING)))
        assert word in lite0.class_name(int(logits.argmax())), name


def test_the_recipe_of_the_model_says_the_same_as_the_demo() -> None:
    recipe = Recipe.from_file(ROOT / "models" / "efficientnet_lite0" / "recipe.toml")
    assert recipe.model.specs() == (lite0.INPUT,)
    assert recipe.model.factory == "edgekit.demo.lite0:build"
    assert parse_preprocessing(recipe.calibration.preprocessing, lite0.INPUT) == lite0.PREPROCESSING
