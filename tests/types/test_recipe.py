from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.types.artifact import FORMATS, Format
from edgekit.types.recipe import (
    FILES,
    IO,
    RANGES,
    BudgetSettings,
    CalibrationSettings,
    EmitSettings,
    EvaluationSettings,
    ModelSettings,
    QuantizeSettings,
    Recipe,
)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
recipes = st.builds(
    Recipe,
    model=st.builds(
        ModelSettings,
        factory=st.sampled_from(["", "net.py:build", "pkg.mod:Net"]),
        inputs=st.lists(st.sampled_from(["x:1x3x8x8", "t:Nx4:int64", "s:scalar"])).map(tuple),
    ),
    calibration=st.builds(
        CalibrationSettings,
        data=texts,
        preprocessing=texts,
        samples=st.integers(1, 10**6),
        held_back=st.floats(0.001, 0.5),
        seed=st.integers(0, 2**32 - 1),
    ),
    evaluation=st.builds(EvaluationSettings, data=texts),
    quantize=st.builds(
        QuantizeSettings,
        pair_safe=st.booleans(),
        bias_correction=st.booleans(),
        range=st.sampled_from(RANGES),
        weight_only=st.booleans(),
        float_modules=st.lists(texts, max_size=3).map(tuple),
    ),
    emit=st.builds(
        EmitSettings,
        formats=st.lists(st.sampled_from(FORMATS), min_size=1, unique=True).map(tuple),
        io=st.sampled_from(IO),
    ),
)


@given(recipes)
def test_law_toml_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_an_empty_text_is_the_default_recipe() -> None:
    assert Recipe.from_toml("") == Recipe()


def test_every_format_has_a_file_name() -> None:
    assert set(FILES) == set(get_args(Format))
    assert tuple(FILES)[: len(FORMATS)] == FORMATS
    assert len(set(FILES.values())) == len(FILES)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[calibraton]\nsamples = 1", "unknown key 'calibraton'", "did you mean 'calibration'?"),
        ("[calibration]\nsample = 1", "unknown key 'calibration.sample'", "did you mean 'calibration.samples'?"),
        ("[calibration]\nsamples = 0", "calibration.samples must be from 1 to 1000000, found 0", ""),
        ("[calibration]\nsamples = true", "calibration.samples must be an integer, found True (bool)", ""),
        ("[calibration]\nsamples = 1.0", "calibration.samples must be an integer, found 1.0 (float)", ""),
        ("[calibration]\nheld_back = 1", "calibration.held_back must be from 0.001 to 0.5, found 1.0", ""),
        ("[calibration]\nseed = -1", "calibration.seed must be from 0 to 4294967295, found -1", ""),
        ("[quantize]\npair_safe = 1", "quantize.pair_safe must be true or false, found 1 (int)", ""),
        ("[quantize]\nrange = 'minmix'", "quantize.range must be one of", "did you mean 'minmax'?"),
        ("[quantize]\nfloat_modules = 'head'", "quantize.float_modules must be a list, found 'head'", ""),
        ("[quantize]\nfloat_modules = [1]", "quantize.float_modules[0] must be a text, found 1 (int)", ""),
        ("[emit]\nio = 'int4'", "emit.io must be one of float, int8, found 'int4'", "did you mean 'int8'?"),
        ("[emit]\nformats = []", "emit.formats is empty", "onnx-int8"),
        ("[emit]\nformats = ['onnx-in8']", "found 'onnx-in8'", "did you mean 'onnx-int8'?"),
        ("[emit]\nformats = ['onnx-int8', 'onnx-int8']", "names a format twice", ""),
        ("[model]\nfactory = 'build'", "model.factory must be module:name, found 'build'", "model.py:build"),
        ("[model]\ninputs = ['x']", "'x' is not an input", "x:1x3x224x224"),
        ("emit = 3", "emit must be a table, found 3 (int)", ""),
        ("emit = [", "the recipe is not TOML", ""),
    ],
)
def test_a_wrong_recipe_says_key_value_and_remedy(text: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_toml(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "edgekit.toml").write_text(
        "model.factory = 'net.py:build'\ncalibration.data = 'photos'\nevaluation.data = 'pkg.data:labelled'\n"
    )
    recipe = Recipe.beside(tmp_path / "model.pt")
    assert recipe.model.factory == f"{tmp_path}/net.py:build"
    assert recipe.calibration.data == f"{tmp_path}/photos"
    assert recipe.evaluation.data == "pkg.data:labelled"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    recipe = Recipe(calibration=CalibrationSettings(data="/data/photos"))
    assert recipe.relative_to(tmp_path) == recipe


@given(
    st.sampled_from(["photos", "data/x.npz", "../photos", "/data/photos", "", "pkg.data:load", "load.py:load"]),
    st.sampled_from(["out", "runs/7", ".", "../elsewhere"]),
)
def test_law_a_recipe_seen_from_a_folder_names_the_same_files(data: str, folder: str) -> None:
    recipe = Recipe(calibration=CalibrationSettings(data=data))
    there = recipe.seen_from(Path(folder)).relative_to(Path(folder))
    assert os.path.abspath(there.calibration.data) == os.path.abspath(data)
    assert recipe.seen_from(Path(folder)) == there.seen_from(Path(folder)), "and is written the same every time"


def test_no_file_beside_the_model_is_the_default(tmp_path: Path) -> None:
    assert Recipe.beside(tmp_path / "model.pt") == Recipe()


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text("[emit]\nio = 'int4'")
    with pytest.raises(RecipeError, match=r"edgekit\.toml: emit\.io must be one of"):
        Recipe.from_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        Recipe.from_file(path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(RecipeError, match="1000001 bytes"):
        Recipe.from_file(path)
    absent = tmp_path / "absent.toml"
    with pytest.raises(RecipeError, match="cannot read the recipe") as caught:
        Recipe.from_file(absent)
    assert str(caught.value) == f"cannot read the recipe {absent}: No such file or directory"


def test_an_agreement_in_percent_is_read_back_as_a_share() -> None:
    with pytest.raises(RecipeError, match="is a share") as caught:
        BudgetSettings(min_agreement=99)
    assert caught.value.hint == "0.99?"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BudgetSettings(min_sqnr="20"), "must be a number, found '20'"),  # type: ignore[arg-type]
        (lambda: BudgetSettings(max_size=5), "budget.max_size"),  # type: ignore[arg-type]
        (lambda: EmitSettings(targets="arm"), "must be a list of names, found 'arm'"),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_are_refused_in_python_too(make: Callable[[], object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make()


def test_python_may_give_lists_as_tuples():
    recipe = Recipe().with_fields({"quantize.float_modules": ("stem", "head.*")})
    assert recipe.quantize.float_modules == ("stem", "head.*")
