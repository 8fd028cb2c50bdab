"""Checkpoint files: what goes in comes out, and hostile ones are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgekit.errors import StorageError, TrainingError
from edgekit.training import random_state
from edgekit.training.checkpoints import CheckpointFolder


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    shared = torch.arange(6.0).view(2, 3)
    tensors = {
        "model/a": shared,
        "model/tied": shared,
        "model/turned": shared.t(),
        "model/half": torch.ones(3, dtype=torch.bfloat16),
        "model/count": torch.tensor(7),
        "model/none": torch.zeros(0, 3),
        **{f"random/{name}": value for name, value in random_state.capture().items()},
    }
    folder = CheckpointFolder(tmp_path / "new", {"lr": 0.1})
    folder.save(3, tensors, {"loss": 0.1, "name": "ü"})
    found, findings = folder.latest()
    assert found is not None
    assert findings == ()
    assert found.facts == {"loss": 0.1, "name": "ü"}
    assert all(torch.equal(value, tensors[name]) for name, value in found.tensors.items())
    assert set(found.part("model")) == {"a", "tied", "turned", "half", "count", "none"}
    random_state.restore(found.part("random"))


def test_only_the_newest_two_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, {})
    (tmp_path / ".step-abc.part").write_bytes(b"left by a kill")
    for step in (9, 10, 100):
        folder.save(step, {"model/a": torch.zeros(1)}, {})
    assert [file.name for file in folder.files()] == ["step-0000000100.safetensors", "step-0000000010.safetensors"]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "header",
    [
        None,
        {"other": "{}"},
        {"edgekit.training": "[]"},
        {"edgekit.training": "{"},
        {"edgekit.training": '{"version":9,"identity":{},"digest":"","facts":{}}'},
        {"edgekit.training": '{"version":1,"version":1,"identity":{},"digest":"","facts":{}}'},
        {"edgekit.training": json.dumps({"version": 1, "identity": {}, "digest": "0" * 64, "facts": {}})},
        {"edgekit.training": '{"version":1}'},
    ],
)
def test_a_foreign_file_is_no_checkpoint(tmp_path: Path, header: dict[str, str] | None) -> None:
    save_file({"model/a": torch.zeros(1)}, tmp_path / "step-0000000001.safetensors", header)
    with pytest.raises(TrainingError, match=r"all 1 checkpoints in .* are damaged"):
        CheckpointFolder(tmp_path, {}).latest()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write a checkpoint"):
        CheckpointFolder(tmp_path / "file", {}).save(1, {"model/a": torch.zeros(1)}, {})
    assert os.listdir(tmp_path) == ["file"]
