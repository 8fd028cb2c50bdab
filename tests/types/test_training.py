import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import RecipeError
from edgekit.types.recipe import Recipe
from edgekit.types.training import DistillSettings, PruneSettings, PruneTarget, QatSettings, TrainSettings


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("1.5x", PruneTarget("speedup", 1.5)),
        (" 2x ", PruneTarget("speedup", 2.0)),
        ("macs=20M", PruneTarget("macs", 20e6)),
        ("macs = 1.5 G", PruneTarget("macs", 1.5e9)),
        ("size=400kB", PruneTarget("size", 400_000)),
        ("latency=0.6", PruneTarget("latency", 0.6)),
    ],
)
def test_targets_of_pruning(text, target):
    assert PruneSettings(target=text).parsed() == target


@pytest.mark.parametrize(
    "text",
    ["1x", "0.5x", "x", "nanx", "infx", "macs=", "macs=-3", "size=big", "latency=1", "latency=0", "speed=2", "half"],
)
def test_a_target_that_asks_for_nothing_is_refused(text):
    with pytest.raises(RecipeError, match=r"prune\.target"):
        PruneSettings(target=text)


@pytest.mark.parametrize(
    ("text", "length"), [("2ep", (2, None)), ("1 epoch", (1, None)), ("3epochs", (3, None)), ("500steps", (None, 500))]
)
def test_lengths_of_qat(text, length):
    assert QatSettings(length=text).parsed() == length


@pytest.mark.parametrize("text", ["2", "0ep", "ep", "-1ep", "2.5ep", "two epochs"])
def test_a_length_that_is_none_is_refused(text):
    with pytest.raises(RecipeError, match=r"qat\.length"):
        QatSettings(length=text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainSettings(data="loader"),
        lambda: TrainSettings(epochs=-1),
        lambda: TrainSettings(loss="focal"),
        lambda: PruneSettings(importance="magic"),
        lambda: PruneSettings(round_to=0),
        lambda: PruneSettings(schedule="slow"),
        lambda: DistillSettings(teacher="big"),
        lambda: DistillSettings(loss="l2"),
        lambda: DistillSettings(weight=1.5),
        lambda: QatSettings(batchnorm="none"),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(RecipeError):
        make()


@given(
    st.sampled_from(["", "1.5x", "macs=20M", "size=1MB", "latency=0.5"]),
    st.sampled_from(["", "self", "big.net:build", "net.py:build"]),
    st.sampled_from(["", "2ep", "10steps"]),
)
def test_law_a_recipe_that_trains_survives_toml_and_folders(target, teacher, length):
    recipe = Recipe(
        train=TrainSettings(data="data.py:loader", loss="pkg.losses:focal"),
        prune=PruneSettings(target=target),
        distill=DistillSettings(teacher=teacher),
        qat=QatSettings(length=length),
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert recipe.trains


def test_only_files_move_with_the_recipe(tmp_path):
    recipe = Recipe(
        train=TrainSettings(data="data.py:loader", loss="pkg.losses:focal"), distill=DistillSettings(teacher="self")
    ).relative_to(tmp_path)
    assert recipe.train.data == f"{tmp_path}/data.py:loader"
    assert recipe.train.loss == "pkg.losses:focal"
    assert recipe.distill.teacher == "self"


def test_the_default_recipe_trains_nothing():
    assert not Recipe().trains
