"""The front door from end to end: each kind of source, what is said about it, and what is left when it fails."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from edgekit.errors import ModelLoadError, StorageError
from edgekit.load.checkpoint import open_model
from edgekit.runtime.ort import open_onnx
from edgekit.testing.nets.table import NETS, build, sample_inputs
from edgekit.types.spec import TensorSpec

FACTORY = "edgekit.testing.nets.sound:WaveNet1d"
INPUTS = NETS["audio_1d"].inputs


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "checkpoint"])
def test_state_dicts(kind: str, tmp_path: Path) -> None:
    module = build("audio_1d", seed=5)
    path = tmp_path / "weights.bin"
    if kind == "safetensors":
        safetensors.torch.save_file(module.state_dict(), path)
    else:
        wrapped = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
        value = {"state_dict": wrapped, "epoch": 9} if kind == "checkpoint" else module.state_dict()
        torch.save(value, path, _use_new_zipfile_serialization=kind != "legacy")
    model = open_model(path, workdir=tmp_path / "work", inputs=INPUTS, factory=FACTORY)
    assert (model.name, model.findings) == ("weights", ())
    assert model.origin == ("safetensors state dict" if kind == "safetensors" else "state dict")
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    sample = sample_inputs("audio_1d", 1)[0]
    with torch.no_grad():
        wanted = module(torch.from_numpy(sample["waveform"])).numpy()
    np.testing.assert_allclose(open_onnx(model.path).run(sample)["output"], wanted, rtol=1e-4, atol=1e-5)


def test_a_state_dict_alone_is_not_enough(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelLoadError, match="is a state dict: 2 tensors without the code") as caught:
        open_model(tmp_path / "weights.pt", workdir=tmp_path / "work")
    assert "--model package.module:factory" in caught.value.hint


def test_a_factory_that_raises_leaves_nothing(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt")
    (tmp_path / "nets.py").write_text("def build():\n    raise FileNotFoundError('config.yaml')\n")
    factory = f"{tmp_path / 'nets.py'}:build"
    with pytest.raises(ModelLoadError, match=re.escape(f"{factory} raised FileNotFoundError: config.yaml")) as caught:
        open_model(tmp_path / "weights.pt", workdir=tmp_path / "work", inputs=INPUTS, factory=factory)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert not list((tmp_path / "work").iterdir())


def test_a_checkpoint_without_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {"state": {0: torch.ones(1)}}}, tmp_path / "c.pt")
    with pytest.raises(ModelLoadError, match="holds a dict, but no state dict; it has the keys epoch, optimizer"):
        open_model(tmp_path / "c.pt", workdir=tmp_path / "work", factory=FACTORY)


def test_trusted_modules_alone_and_in_checkpoints(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    for name, value in (("a.pt", module), ("b.pt", {"epoch": 1, "model": module})):
        torch.save(value, tmp_path / name)
        inputs = (TensorSpec("input", (1, 3)),)
        model = open_model(tmp_path / name, workdir=tmp_path / "work", inputs=inputs, trust_pickle=True)
        assert model.origin == "pickled torch module"
        assert model.outputs[0].shape == (1, 2)


def test_a_live_module_has_no_digest(tmp_path: Path) -> None:
    model = open_model(nn.Linear(3, 2), workdir=tmp_path / "deep" / "work", inputs=(TensorSpec("input", (1, 3)),))
    assert (model.name, model.origin, model.digest) == ("Linear", "live torch module", "")
    assert model.path == tmp_path / "deep" / "work" / "model.onnx"


def test_a_factory_that_is_not_needed_is_noted(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(3, 2), (torch.ones(1, 3),))
    torch.export.save(program, tmp_path / "net.pt2")
    model = open_model(str(tmp_path / "net.pt2"), workdir=tmp_path / "work", factory="no.such:thing")
    assert [note.code for note in model.findings] == ["factory-not-needed"]


def test_a_work_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write the float model to") as caught:
        open_model(nn.Linear(3, 2), workdir=tmp_path / "file" / "work", inputs=(TensorSpec("input", (1, 3)),))
    assert "--out" in caught.value.hint
    assert str(tmp_path) not in str(caught.value)


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgekit.load.trace.check_parity", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_model(nn.Linear(3, 2), workdir=tmp_path, inputs=(TensorSpec("input", (1, 3)),))
    assert not list(tmp_path.iterdir())


@pytest.mark.data
def test_a_real_checkpoint(shared_data: Path, tmp_path: Path) -> None:
    """ResNet-20 weights of another project: they do not fit our net, and the message says how."""
    path = shared_data / "weights" / "cifar_resnet20.pt"
    with pytest.raises(ModelLoadError, match=r"tensors do not fit the \d+ of .*ResNet8: \d+ missing"):
        open_model(
            path, workdir=tmp_path, inputs=NETS["resnet8"].inputs, factory="edgekit.testing.nets.classifiers:ResNet8"
        )
