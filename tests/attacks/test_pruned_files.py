"""Hostile and broken pruned files: each gets its error, nothing in them runs, nothing large is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from edgekit.errors import ModelLoadError
from edgekit.shrink.pruning.saving import PLAN_KEY, read_plan
from edgekit.training.pruning import load_pruned, prune

Edit = Callable[[dict[str, Any]], None]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.size = nn.Linear(4, 16), nn.Linear(16, 3), 16

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return prune(Net(), torch.randn(1, 4), speedup=1.5).save(tmp_path / "good.safetensors")


def rewritten(good: Path, edit: Edit) -> Path:
    plan = json.loads(read_plan(good).to_json())
    edit(plan)
    return with_plan(good, json.dumps(plan))


def with_plan(good: Path, text: str) -> Path:
    path = good.with_name("bad.safetensors")
    save_file(load_file(good), path, metadata={PLAN_KEY: text})
    return path


def test_the_good_file_loads(good: Path) -> None:
    assert load_pruned(Net, good).first.out_features == 8  # type: ignore[union-attr]


EDITS: dict[str, Edit] = {
    "grows": lambda plan: plan["tensors"].update({"first.bias": [[16], [2**39]]}),
    "unknown module": lambda plan: plan["layers"].update({"third": plan["layers"]["first"]}),
    "unknown tensor": lambda plan: plan["tensors"].update({"third.weight": [[4], [2]]}),
    "zero size": lambda plan: plan["tensors"].update({"first.bias": [[16], [0]]}),
    "negative size": lambda plan: plan["tensors"].update({"first.bias": [[16], [-8]]}),
    "truth value": lambda plan: plan["layers"]["first"]["attributes"].update({"out_features": [16, True]}),
    "text for a size": lambda plan: plan["layers"]["first"]["attributes"].update({"out_features": [16, "8"]}),
    "another attribute": lambda plan: plan["layers"]["first"]["attributes"].update({"forward": [1, 1]}),
    "dunder": lambda plan: plan["layers"]["first"]["attributes"].update({"__class__": [1, 1]}),
    "training flag": lambda plan: plan["layers"]["first"]["attributes"].update({"training": [1, 1]}),
    "another kind": lambda plan: plan["layers"]["first"].update({"kind": "Conv2d"}),
    "another class": lambda plan: plan.update({"model": "Other"}),
    "another format": lambda plan: plan.update({"format": "pickle"}),
    "another version": lambda plan: plan.update({"version": 2}),
    "extra key": lambda plan: plan.update({"code": "print(1)"}),
    "list for a table": lambda plan: plan.update({"layers": []}),
    "contradiction": lambda plan: plan["layers"]["first"]["attributes"].update({"out_features": [16, 7]}),
    "other weights": lambda plan: (
        plan["layers"]["first"]["attributes"].update({"out_features": [16, 7]}),
        plan["layers"]["second"]["attributes"].update({"in_features": [16, 7]}),
        plan["tensors"].update({"first.weight": [[16, 4], [7, 4]], "first.bias": [[16], [7]]}),
        plan["tensors"].update({"second.weight": [[3, 16], [3, 7]]}),
    ),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", EDITS)
def test_a_changed_plan_is_refused(name: str, good: Path) -> None:
    with pytest.raises(ModelLoadError):
        load_pruned(Net, rewritten(good, EDITS[name]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1}',
        '{"a": 1, "a": 2}',
        "[" * 100_000,
        '{"version": NaN}',
        '"' + "x" * 40_000_000 + '"',
    ],
    ids=["empty", "cut", "list", "null", "one key", "double", "deep", "nan", "huge"],
)
def test_text_that_is_no_plan_is_refused(text: str, good: Path) -> None:
    with pytest.raises(ModelLoadError):
        load_pruned(Net, with_plan(good, text))


def test_double_keys_are_refused_inside_too(good: Path) -> None:
    text = read_plan(good).to_json().replace('"kind":', '"kind":"Linear","kind":', 1)
    with pytest.raises(ModelLoadError, match="there twice"):
        load_pruned(Net, with_plan(good, text))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(share: float, good: Path) -> None:
    data = good.read_bytes()
    good.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelLoadError):
        load_pruned(Net, good)


def test_files_of_another_kind_are_refused(good: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(good), plain)
    pickled = tmp_path / "pickled.safetensors"
    torch.save(Net(), pickled)
    for path in (plain, pickled, tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(ModelLoadError):
            load_pruned(Net, path)


def test_missing_and_added_tensors_are_refused(good: Path) -> None:
    tensors, plan = load_file(good), read_plan(good).to_json()
    bad = good.with_name("bad.safetensors")
    for changed in ({**tensors, "more": torch.zeros(1)}, {k: v for k, v in tensors.items() if k != "first.bias"}):
        save_file(changed, bad, metadata={PLAN_KEY: plan})
        with pytest.raises(ModelLoadError):
            load_pruned(Net, bad)
