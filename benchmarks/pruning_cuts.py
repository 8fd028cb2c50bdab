"""What is left of ResNet-20 right after the cut, before any training: which channels go, and what is repaired.

    python -m benchmarks.pruning_cuts

Top-1 on 5000 test images. The 2000 training images rank channels ("taylor"), refit layers (`repair`) and re-estimate
BatchNorm; "no data" has none of them, which is how Torch-Pruning cuts. Its layers are chosen by hand, see
`benchmarks.pruning`. The last row is the time of the int8 file of the row before as a share of the uncut net's: ONNX
Runtime, one thread, batch 1, in turns.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from benchmarks import table
from benchmarks.nets import data
from benchmarks.nets.resnet20 import pretrained
from benchmarks.nets.scoring import cifar_top1
from benchmarks.pruning import (
    NET,
    SPEEDUPS,
    THEIRS,
    cross_entropy,
    cut_by_torch_pruning,
    example,
    time_share,
    training_images,
)
from edgekit.errors import ShrinkError

WAYS: dict[str, dict[str, Any]] = {
    "group-norm, no data": {"importance": "group-norm"},
    "group-norm, BatchNorm re-estimated": {"importance": "group-norm", "data": True, "repair": False},
    "group-norm, repaired": {"importance": "group-norm", "data": True},
    "lamp, repaired": {"importance": "lamp", "data": True},
    "bn-scale, repaired": {"importance": "bn-scale", "data": True},
    "taylor, BatchNorm re-estimated": {"importance": "taylor", "data": True, "repair": False},
    "taylor, repaired": {"importance": "taylor", "data": True},
}
SHAPES: dict[str, dict[str, Any]] = {
    "local, 8": {"scope": "local", "round_to": 8},
    "global, 8": {"scope": "global", "round_to": 8},
    "global, 2": {"scope": "global", "round_to": 2},
    "global, 16": {"scope": "global", "round_to": 16},
}
COLUMNS = [(f"{speedup}x {name}", speedup, shape) for speedup in SPEEDUPS for name, shape in SHAPES.items()]
TIME = "its int8 file's time"


def main() -> None:
    """Cut in every way, score, keep."""
    if not data.available():
        sys.exit("the labelled data of ../shared/data is not here; this benchmark needs it")
    torch.set_num_threads(1)
    found = {column: _measure(speedup, shape) for column, speedup, shape in COLUMNS}
    exact = cifar_top1(pretrained(NET))
    rows = [[name, *(_cell(name, scores) for scores in found.values())] for name in (*WAYS, TIME, THEIRS)]
    text = table.markdown((f"ResNet-20, {exact:.1f} % uncut", *found), rows)
    table.keep("pruning_cuts", {"net": NET, "float": exact, "found": found}, text)
    print(text)


def _measure(speedup: float, shape: dict[str, Any]) -> dict[str, float]:
    """Top-1 of every way that reaches the speedup, and the time of the last."""
    found: dict[str, float] = {}
    try:
        for name, way in WAYS.items():
            net = _cut(speedup, {**way, **shape})
            found[name] = cifar_top1(net)
        found[TIME] = time_share(net)
    except ShrinkError as error:
        print(error, file=sys.stderr)
    if shape["scope"] == "local":
        found[THEIRS] = cifar_top1(cut_by_torch_pruning(speedup)[0])
    print(speedup, shape, found, file=sys.stderr, flush=True)
    return found


def _cell(name: str, scores: dict[str, float]) -> str:
    return f"{scores[name]:{'.2f' if name == TIME else '.1f'}}" if name in scores else ""


def _cut(speedup: float, way: dict[str, Any]) -> nn.Module:
    import edgekit

    asked = dict(way)
    batches = training_images(labels=True, seed=1) if asked.pop("data", False) else None
    loss = cross_entropy if asked["importance"] == "taylor" else None
    return edgekit.prune(pretrained(NET), example(), speedup=speedup, data=batches, loss=loss, **asked).model


if __name__ == "__main__":
    main()
