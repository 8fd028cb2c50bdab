"""What is left of ResNet-20 right after the cut, before any training: which channels go, and what is repaired.

    python -m benchmarks.pruning_cuts

Top-1 on 5000 test images. The 2000 training images rank channels ("taylor"), refit layers (`repair`) and re-estimate
BatchNorm; "no data" has none of them, which is how Torch-Pruning cuts. Its layers are chosen by hand, see
`benchmarks.pruning`.
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
from benchmarks.pruning import NET, SPEEDUPS, cross_entropy, cut_by_torch_pruning, example, score, training_images

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
}


def main() -> None:
    """Cut in every way, score, keep."""
    if not data.available():
        sys.exit("the labelled data of ../shared/data is not here; this benchmark needs it")
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for speedup in SPEEDUPS:
        for name, way in WAYS.items():
            found.setdefault(name, {})
            for shape, more in SHAPES.items():
                found[name][f"{speedup}x {shape}"] = score(_cut(speedup, {**way, **more}))
            print(speedup, name, found[name], file=sys.stderr, flush=True)
        found.setdefault("Torch-Pruning", {})[f"{speedup}x local, 8"] = score(cut_by_torch_pruning(speedup)[0])
    exact = score(pretrained(NET))
    columns = [f"{speedup}x {shape}" for speedup in SPEEDUPS for shape in SHAPES]
    rows = [
        [name, *(f"{scores[column]:.1f}" if column in scores else "" for column in columns)]
        for name, scores in found.items()
    ]
    text = table.markdown((f"ResNet-20, {exact:.1f} % uncut", *columns), rows)
    table.keep("pruning_cuts", {"net": NET, "float": exact, "top1": found}, text)
    print(text)


def _cut(speedup: float, way: dict[str, Any]) -> nn.Module:
    import edgekit

    asked = dict(way)
    batches = training_images(labels=True, seed=1) if asked.pop("data", False) else None
    loss = cross_entropy if asked["importance"] == "taylor" else None
    return edgekit.prune(pretrained(NET), example(), speedup=speedup, data=batches, loss=loss, **asked).model


if __name__ == "__main__":
    main()
