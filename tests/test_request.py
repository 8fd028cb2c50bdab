import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import RecipeError
from edgekit.request import settle
from edgekit.types.preprocessing import Preprocessing
from edgekit.types.recipe import Recipe
from edgekit.types.spec import TensorSpec


class TwoInputs(nn.Module):
    def forward(self, image, numbers, scale=1.0):
        return image.mean((1, 2, 3)) + numbers.sum(1) * scale


def ask(model, **given):
    blank = {
        "calibration": None,
        "inputs": (),
        "factory": None,
        "preprocessing": None,
        "evaluation": None,
        "metric": None,
        "recipe": None,
    }
    return settle(model, **{**blank, **given})


def test_the_recipe_beside_the_model_fills_in_what_was_left_out(tmp_path):
    (tmp_path / "edgekit.toml").write_text(
        '[model]\nfactory = "net.py:build"\ninputs = ["x:1x3x8x8"]\n[calibration]\ndata = "x.npz"\nsamples = 9\n'
    )
    request = ask(tmp_path / "weights.pt")
    assert request.inputs == (TensorSpec("x", (1, 3, 8, 8)),)
    assert request.calibration == str(tmp_path / "x.npz")
    assert request.factory == f"{tmp_path / 'net.py'}:build"
    assert request.recipe.calibration.samples == 9


def test_an_argument_wins_over_the_recipe_and_is_written_into_it():
    recipe = Recipe.from_toml('[calibration]\ndata = "old.npz"\npreprocessing = "imagenet"\n')
    spec = Preprocessing((8, 8), mean=(127.0,), std=(128.0,))
    request = ask("model.onnx", calibration="new.npz", preprocessing=spec, recipe=recipe)
    assert request.recipe.calibration.data == "new.npz"
    assert "mean=127.0" in request.recipe.calibration.preprocessing
    assert request.preprocessing is spec


def test_a_broken_recipe_beside_the_model_is_an_error(tmp_path):
    (tmp_path / "edgekit.toml").write_text("[calibration]\nsampels = 3\n")
    with pytest.raises(RecipeError, match="sampels"):
        ask(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "first",
    [
        (torch.zeros(4, 3, 8, 8), torch.zeros(4, 5), torch.zeros(4)),
        {"numbers": np.zeros((4, 5)), "image": np.zeros((4, 3, 8, 8), np.float32), "label": np.zeros(4)},
    ],
)
def test_inputs_of_a_live_module_come_from_the_first_batch(first):
    request = ask(TwoInputs(), calibration=[first])
    assert request.inputs == (TensorSpec("image", (1, 3, 8, 8)), TensorSpec("numbers", (1, 5)))


def test_a_generator_keeps_its_first_batch():
    batches = (torch.full((2, 4), float(i)) for i in range(3))
    request = ask(nn.Linear(4, 2), calibration=batches)
    assert request.inputs == (TensorSpec("input", (1, 4)),)
    assert [float(batch[0, 0]) for batch in request.calibration] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("data", [None, "photos", np.zeros((4, 8, 8, 3), np.uint8), [], [torch.zeros(())]])
def test_data_that_does_not_tell_leaves_the_inputs_open(data):
    assert ask(nn.Linear(4, 2), calibration=data).inputs == ()


def test_two_inputs_are_not_read_off_a_batch_of_one():
    assert ask(TwoInputs(), calibration=torch.zeros(4, 3, 8, 8)).inputs == ()
