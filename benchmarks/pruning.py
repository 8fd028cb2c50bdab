"""How much smaller does ResNet-20 become on 2000 images? Pruned, taught by itself, quantized; and its real speed.

    python -m benchmarks.pruning [--epochs 100] [--seeds 3] [--jobs 2] [--runs FILE]

- edgekit: `prune`, then `distill` from the unpruned net, answers and stages, without a label;
- Torch-Pruning alone: its pruner by group norms, then the labels, as its examples do. The net's shortcuts pad channels,
  which breaks in its tracer: the layers that add to them are put on its `ignored_layers` by hand.

Both train for the same epochs on the same images with the same optimizer, batch and mirrored, shifted images; without
labels every second image can be blended with another as well. Scored once, after the last step, on 5000 other images.
int8 is `compress` with 200 of the 2000 images. Time is that of the int8 file in ONNX Runtime, one thread, batch 1, in
turns with the unpruned net's.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import table
from benchmarks.nets import data
from benchmarks.nets.resnet20 import pretrained
from benchmarks.nets.scoring import cifar_top1
from benchmarks.nets.training import flip_and_shift, mixed

NET = "cifar_resnet20_jpegft"
SPEEDUPS = (1.5, 2.0)
OURS, THEIRS = "edgekit", "Torch-Pruning alone"
BATCH, RATE, TEMPERATURE, BLENDED = 64, 2e-3, 2.0, 0.5
STAGES = (("layer1", "layer1"), ("layer2", "layer2"), ("layer3", "layer3"))
FORMATS = ("onnx-x86", "onnx-int8", "tflite-int8")

Loader = DataLoader[tuple[Tensor, ...]]


def main() -> None:
    """Cut, train, quantize and score each kind for each seed; keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=100, help="passes over the 2000 images")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    parser.add_argument("--runs", type=Path, help="JSON lines: finished runs are added, and not run again")
    asked = parser.parse_args()
    if not data.available():
        sys.exit("the labelled data of ../shared/data is not here; this benchmark needs it")
    from edgekit.check.machine import describe_machine

    torch.set_num_threads(1)
    wanted = [(kind, speedup, seed) for seed in range(asked.seeds) for kind in (OURS, THEIRS) for speedup in SPEEDUPS]
    done = read_runs(asked.runs, asked.epochs)
    missing = [one for one in wanted if one not in done]
    with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for one, found in zip(missing, pool.map(functools.partial(run, epochs=asked.epochs), missing), strict=True):
            done[one] = found
            if asked.runs:
                with asked.runs.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(found) + "\n")
    runs = [done[one] for one in wanted]
    machine = describe_machine()
    exact = cifar_top1(pretrained(NET))
    kept = {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa), "runtimes": machine.runtimes},
        "net": NET,
        "epochs": asked.epochs,
        "float": exact,
        "runs": runs,
    }
    text = tabulate(exact, runs)
    table.keep("pruning", kept, text)
    print(text)


def read_runs(file: Path | None, epochs: int) -> dict[tuple[str, float, int], dict[str, Any]]:
    """Finished runs of as many epochs, by kind, speedup and seed."""
    lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
    runs = [found for found in map(json.loads, lines) if found["epochs"] == epochs]
    return {(found["kind"], found["speedup"], found["seed"]): found for found in runs}


def run(wanted: tuple[str, float, int], *, epochs: int) -> dict[str, Any]:
    """One net: cut, trained, quantized, scored."""
    kind, speedup, seed = wanted
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net, macs_share = (cut_by_edgekit if kind == OURS else cut_by_torch_pruning)(speedup)
    before = cifar_top1(net)
    (teach if kind == OURS else train)(net, epochs, seed)
    found: dict[str, Any] = {"kind": kind, "speedup": speedup, "seed": seed, "epochs": epochs}
    found["macs_share"] = macs_share
    found |= {"before": before, "float": cifar_top1(net), **quantize(net)}
    print(found, file=sys.stderr, flush=True)
    return found


def cut_by_edgekit(speedup: float) -> tuple[nn.Module, float]:
    """All layers against each other by Taylor importance, repaired; with the share of MACs that is left."""
    import edgekit

    batches = training_images(labels=True, seed=1)
    pruned = edgekit.prune(
        pretrained(NET),
        example(),
        speedup=speedup,
        round_to=2,
        data=batches,
        loss=cross_entropy,  # type: ignore[arg-type]
    )
    return pruned.model, pruned.macs / pruned.base_macs


def cross_entropy(module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Loss of a batch, for Taylor importance."""
    images, labels = batch
    return functional.cross_entropy(module(images), labels)


def cut_by_torch_pruning(speedup: float) -> tuple[nn.Module, float]:
    """The smallest even ratio that reaches the speedup; with the share of MACs that is left."""
    import torch_pruning

    base, _ = torch_pruning.utils.count_ops_and_params(pretrained(NET), example())
    for percent in range(1, 100):
        net = pretrained(NET)
        added_to = [net.conv1, net.linear]
        added_to += [block.conv2 for stage in (net.layer1, net.layer2, net.layer3) for block in stage]
        torch_pruning.pruner.MetaPruner(
            net,
            example(),
            importance=torch_pruning.importance.GroupMagnitudeImportance(),
            pruning_ratio=percent / 100,
            ignored_layers=added_to,
        ).step()
        macs, _ = torch_pruning.utils.count_ops_and_params(net, example())
        if macs * speedup <= base:
            return net, macs / base
    raise ValueError(f"no ratio reaches {speedup}x")


def teach(net: nn.Module, epochs: int, seed: int) -> None:
    """Learn what the unpruned net says and how its stages see, without labels."""
    import edgekit

    edgekit.distill(
        net,
        pretrained(NET),
        training_images(labels=False, seed=seed),
        epochs=epochs,
        loss="kd+feature",
        distillation=edgekit.Distillation(temperature=TEMPERATURE, taps=STAGES),
        settings=settings(seed),
        augment=half_blended,
    )


def half_blended(batch: Tensor) -> Tensor:
    """Mirror and shift all images, and blend half of them with one another: with too few clean ones accuracy falls."""
    half = len(batch) // 2
    return torch.cat([flip_and_shift(batch[:half]), mixed(batch[half:], most=BLENDED)])


def train(net: nn.Module, epochs: int, seed: int) -> None:
    """Learn the labels."""
    import edgekit

    images = training_images(labels=True, seed=seed)
    edgekit.finetune(net, images, epochs=epochs, settings=settings(seed), augment=flip_and_shift)


def settings(seed: int) -> Any:
    """The same for both."""
    import edgekit

    return edgekit.TrainingSettings(lr=RATE, weight_decay=0.02, mixed_precision="bf16", seed=seed)


def quantize(net: nn.Module) -> dict[str, Any]:
    """Top-1 of the int8 files, and the time of the x86 one as a share of the unpruned net's."""
    import edgekit
    from edgekit.runtime.litert import open_tflite
    from edgekit.runtime.ort import open_onnx

    images = data.cifar_train().inputs
    chosen = images[np.linspace(0, len(images) - 1, 200).round().astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        files = edgekit.compress(net.eval(), calibration=chosen, out=Path(folder) / "out").files
        found = {
            name: score_file((open_tflite if name.startswith("tflite") else open_onnx)(files[name])) for name in FORMATS
        }
    return {"int8": found, "time_share": time_share(net)}


def time_share(net: nn.Module) -> float:
    """Time of the int8 file as a share of the unpruned net's."""
    from edgekit.training.speed_claim import measure_speed

    images = torch.from_numpy(data.cifar_train().inputs[::500])
    with tempfile.TemporaryDirectory() as folder:
        return measure_speed(pretrained(NET), net, example(), images.split(1), workdir=Path(folder), seed=0)


def score_file(session: Any) -> float:
    """Top-1 of a file on the test images, image by image, percent."""
    (spec,), test = session.inputs, data.cifar_test()
    right = sum(
        int(next(iter(session.run({spec.name: row}).values())).argmax()) == label for row, label in test.one_by_one()
    )
    return 100 * right / len(test)


def training_images(*, labels: bool, seed: int) -> Loader:
    """The 2000 images, shuffled, in batches."""
    found = data.cifar_train()
    tensors = [torch.from_numpy(found.inputs)] + ([torch.from_numpy(found.labels)] if labels else [])
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(*tensors), batch_size=BATCH, shuffle=True, drop_last=True, generator=generator)


def example() -> Tensor:
    """One image's shape."""
    return torch.zeros(1, 3, 32, 32)


def tabulate(exact: float, runs: list[dict[str, Any]]) -> str:
    """One row per kind and speedup: mean and spread over the seeds, drops in points."""
    from edgekit.training.speed_claim import judge_speed

    rows = []
    for kind, speedup in [(kind, speedup) for speedup in SPEEDUPS for kind in (OURS, THEIRS)]:
        group = [one for one in runs if (one["kind"], one["speedup"]) == (kind, speedup)]
        fewer = 1 / group[0]["macs_share"]
        faster = 1 / statistics.median(one["time_share"] for one in group)
        claim = "refused" if judge_speed(1 / faster, 1 / fewer) else "holds"
        losses = [[one["float"] - one["int8"][name] for one in group] for name in ("onnx-x86", "tflite-int8")]
        columns: tuple[list[float], ...] = ([one["before"] for one in group], [one["float"] for one in group])
        rows.append(
            [
                f"{kind}, {speedup}x",
                f"{fewer:.2f}x",
                *(spread(values) for values in columns),
                spread([exact - value for value in columns[1]]),
                *(f"{statistics.mean(lost):+.2f}" for lost in losses),
                f"{faster:.2f}x, {claim}",
            ]
        )
    header = (
        f"ResNet-20, {exact:.2f} % in float",
        "fewer MACs",
        "cut",
        "trained",
        "points lost",
        "int8 ONNX loses more",
        "int8 TFLite loses more",
        "faster, claim",
    )
    return table.markdown(header, rows)


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


if __name__ == "__main__":
    main()
