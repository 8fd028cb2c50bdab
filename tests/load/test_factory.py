"""Factories: found in packages and files, called once, and every way they can fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.factory import build_module

CODE = """
import sys
from torch import nn
import neighbour

def build():
    print("building")
    return nn.Linear(neighbour.SIZE, 2)

def wrong(): raise KeyError("n_classes")
def leaves(): sys.exit(3)
def text(): return "a net"
def wants(size): return nn.Linear(size, 2)
class Net(nn.Module): pass
size = 4
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "neighbour.py").write_text("SIZE = 7")
    path = tmp_path / "my net.py"
    path.write_text(CODE)
    yield str(path)
    sys.modules.pop("neighbour", None)


def test_a_file_beside_its_neighbours(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths = list(sys.path)
    module = build_module(f"{file}:build")
    assert isinstance(module, nn.Linear)
    assert module.in_features == 7
    assert sys.path == paths
    assert capsys.readouterr() == ("", "building\n"), "stdout belongs to --json"


def test_a_class_and_a_package() -> None:
    assert isinstance(build_module("torch.nn:Identity"), nn.Identity)


def test_a_module_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgekit_test_here.py").write_text("from torch import nn\nbuild = nn.ReLU")
    monkeypatch.chdir(tmp_path)
    assert isinstance(build_module("edgekit_test_here:build"), nn.ReLU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", r"my net.py:wrong raised KeyError: 'n_classes'"),
        ("leaves", r"raised SystemExit: 3"),
        ("text", r"gave a str, not a torch.nn.Module"),
        ("wants", r"raised TypeError: wants\(\) missing 1 required positional argument"),
        ("size", r"is a int, not a function or class"),
        ("biuld", r"has no 'biuld'"),
    ],
)
def test_what_a_factory_can_do_wrong(file: str, name: str, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        build_module(f"{file}:{name}")
    if name == "wrong":
        assert isinstance(caught.value.__cause__, KeyError)
    if name == "biuld":
        assert caught.value.hint == "did you mean build?"


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("net", "'net' names no model factory"),
        ("net:", "names no model factory"),
        (":build", "names no model factory"),
        ("net:a.b()", "names no model factory"),
        ("no_such_package_x.y:build", "raised ModuleNotFoundError"),
        ("no/such/file.py:build", "is in no/such/file.py, which is no file"),
    ],
)
def test_factories_that_are_not_there(factory: str, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        build_module(factory)


def test_a_file_that_does_not_import(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import torch\ndef (")
    with pytest.raises(ModelLoadError, match=r"importing the model factory .* raised SyntaxError") as caught:
        build_module(f"{path}:build")
    assert isinstance(caught.value.__cause__, SyntaxError)
    assert "edgekit_factory_broken" not in sys.modules
