"""torch.save files: what training scripts keep beside the weights is let in, code is not."""

from __future__ import annotations

import argparse
import pathlib
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.load.contents import contents_of
from edgekit.load.saved import load_saved


def load(path: Path, *, trust_pickle: bool = False) -> object:
    return load_saved(path, contents_of(path), trust_pickle=trust_pickle)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize(
    "extra",
    [
        {"epoch": 3, "name": "net", "none": None, "flags": (True, 2.5), "set": {1, 2}},
        {"best": np.float64(0.91), "loss": np.float32(0.1), "step": np.int64(7)},
        {"args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs"))},
        {"shape": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cpu")},
        {"parameter": nn.Parameter(torch.ones(2)), "half": torch.ones(2).half()},
    ],
)
def test_harmless_company(extra: dict[str, object], is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"state_dict": nn.Linear(2, 2).state_dict(), **extra}, path, _use_new_zipfile_serialization=is_zip)
    loaded = load(path)
    assert isinstance(loaded, dict)
    assert set(loaded) == {"state_dict", *extra}


def test_safetensors(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(3)}, tmp_path / "w")
    assert load(tmp_path / "w")["a"].tolist() == [1, 1, 1]  # type: ignore[index]


def test_trusted_pickles_are_loaded(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
    assert isinstance(load(tmp_path / "a.pt", trust_pickle=True), nn.Linear)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(OrderedDict(a=torch.ones(1))))
    assert isinstance(load(tmp_path / "b.pkl", trust_pickle=True), OrderedDict)


def test_a_bare_pickle_of_plain_values_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": [1, 2]}))
    with pytest.raises(ModelLoadError, match="a bare pickle without torch tensors"):
        load(tmp_path / "a.pt")


def test_what_the_scan_lets_by_torch_still_refuses(tmp_path: Path) -> None:
    """The list of names is for the message; the guarantee is torch's restricted unpickler."""
    torch.save({"w": torch.ones(1), "f": torch.save}, tmp_path / "a.pt")
    with pytest.raises(ModelLoadError, match=r"holds more than tensors: Unsupported global: GLOBAL torch\..*save"):
        load(tmp_path / "a.pt")
