"""How much of what coarse weights lose does training win back? ResNet-20 on CIFAR-10, a few hundred steps.

    python -m benchmarks.quantization_aware [--steps 500] [--seeds 3]

The float net teaches (Hinton et al. 2015): no label is used. Training sees the 2000 training images alone, scores are
of the 5000 test images. Post-training quantization is that of edgekit's quantizer on the same calibration images. What
is won back of its loss is (trained - PTQ) / (float - PTQ), in points of top-1.
"""

from __future__ import annotations

import argparse
import functools
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import table
from benchmarks.nets import data, training
from benchmarks.nets.resnet20 import pretrained
from benchmarks.nets.scoring import cifar_top1
from edgekit.shrink.qat.module import QatModule
from edgekit.shrink.reconstruction.simulation import SimulatedGraph
from edgekit.types.graph import QuantizedGraph

NET = "cifar_resnet20_jpegft"
CALIBRATION = 200
VARIANTS = 5
BATCH, TEMPERATURE = 50, 2.0
FROZEN_FROM = 0.7
"""Share of the steps after which activation ranges keep still."""
SETTINGS: dict[str, dict[str, object]] = {
    "4-bit weights, per channel": {"weight_bits": 4},
    "4-bit weights, per tensor": {"weight_bits": 4, "per_channel": False},
    "8-bit weights, per tensor": {"per_channel": False},
}
TRAINED = ("4-bit weights, per channel", "4-bit weights, per tensor")
"""Where PTQ loses something; with 8 bits there is nothing to win back."""


@dataclass(frozen=True)
class Lessons:
    """What training sees.

    Attributes:
        inputs: Augmented training images, (samples, 3, 32, 32).
        answers: The float net's logits for them.
        calibration: Unaugmented training images, every class among them.
    """

    inputs: Tensor
    answers: Tensor
    calibration: Tensor


@functools.cache
def prepare_lessons() -> Lessons:
    """Augment the training images once and ask the teacher once, for all runs."""
    teacher = pretrained(NET)
    images = torch.from_numpy(data.cifar_train().inputs)
    torch.manual_seed(0)
    inputs = torch.cat([training.mixed(images) for _ in range(VARIANTS)])
    with torch.no_grad():
        answers = torch.cat([teacher(batch) for batch in inputs.split(200)])
    chosen = np.linspace(0, len(images) - 1, CALIBRATION).round().astype(int)
    return Lessons(inputs, answers, images[chosen])


def train(module: QatModule, lessons: Lessons, *, steps: int, rate: float, seed: int) -> float:
    """A plain loop: Adam, cosine, the teacher's answers, ranges frozen in the end; returns seconds a step."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    generator = torch.Generator().manual_seed(seed)
    target = functional.log_softmax(lessons.answers / TEMPERATURE, dim=1)
    order = torch.randint(len(lessons.inputs), (steps, BATCH), generator=generator)
    module.train()
    start = time.perf_counter()
    for step, chosen in enumerate(order):
        if step == int(FROZEN_FROM * steps):
            module.freeze_ranges()
        answer = functional.log_softmax(module(lessons.inputs[chosen]) / TEMPERATURE, dim=1)
        loss = functional.kl_div(answer, target[chosen], reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        (TEMPERATURE**2 * loss).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / steps


def score_files(quantized: QuantizedGraph, count: int) -> dict[str, float]:
    """Top-1 of the files in their runtimes on the first `count` test images, and how often the two agree, percent."""
    from edgekit.emit.exporter import emit
    from edgekit.runtime.litert import open_tflite
    from edgekit.runtime.ort import open_onnx

    (source,), (result,) = quantized.graph.inputs, quantized.graph.outputs
    test, answers = data.cifar_test(), {}
    chosen = np.linspace(0, len(test) - 1, count).round().astype(int)
    with tempfile.TemporaryDirectory() as folder:
        for name, opener in (("onnx-int8", open_onnx), ("tflite-int8", open_tflite)):
            path = Path(folder) / name
            emit(quantized, path, format=name, metadata={})
            session = opener(path)
            answers[name] = np.array(
                [session.run({source: row})[result].argmax() for row, _ in test[chosen].one_by_one()]
            )
    right = {name: 100 * float((found == test.labels[chosen]).mean()) for name, found in answers.items()}
    return {**right, "agreement": 100 * float((answers["onnx-int8"] == answers["tflite-int8"]).mean())}


def run(wanted: tuple[str, int], *, asked: argparse.Namespace) -> dict[str, object]:
    """Train one setting with one seed, score the module and its files."""
    from edgekit.training.quantization_aware import finish_qat, prepare_qat

    torch.set_num_threads(1)
    (name, seed), lessons = wanted, prepare_lessons()
    module = prepare_qat(
        pretrained(NET),
        lessons.calibration,
        samples=CALIBRATION,
        learn_scales=True,
        **SETTINGS[name],  # type: ignore[arg-type]
    )
    seconds = train(module, lessons, steps=asked.steps, rate=asked.rate, seed=seed)
    top1 = cifar_top1(module)
    files = score_files(finish_qat(module), asked.scored)
    print(f"{name}, seed {seed}: {top1:.2f}, {files}, {seconds:.2f} s/step", file=sys.stderr, flush=True)
    return {"top1": top1, "files": files, "seconds_per_step": seconds}


def quantize_plainly(lessons: Lessons, settings: dict[str, object]) -> dict[str, float]:
    """Top-1 after post-training quantization with the same settings: to nearest, and with biases corrected."""
    from edgekit.emit.exporter import float_artifact
    from edgekit.runtime.ort import open_onnx
    from edgekit.shrink.qat.settings import QatSettings
    from edgekit.shrink.quantization.observe import observe, observed_values
    from edgekit.shrink.quantization.quantize import quantize
    from edgekit.training.quantization_aware import prepare_qat

    graph = prepare_qat(pretrained(NET), lessons.calibration).layout.graph
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        float_artifact(graph, path, metadata={})
        session = open_onnx(path, taps=observed_values(graph))
        samples = [{graph.inputs[0]: row[None].numpy()} for row in lessons.calibration]
        histograms = observe(session, graph, samples)
    scores = {}
    for name, correct in (("ptq_nearest", False), ("ptq_corrected", True)):
        plan = replace(QatSettings(**settings).plan(), correct_bias=correct)  # type: ignore[arg-type]
        scores[name] = cifar_top1(Simulation(quantize(graph, histograms, plan)))
    return scores


class Simulation(nn.Module):
    """A quantized graph of one input and one output, called like a module."""

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__()
        self.simulated = SimulatedGraph(quantized)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of images."""
        (source,), (result,) = self.simulated.graph.inputs, self.simulated.graph.outputs
        return self.simulated({source: image})[result]


def main() -> None:
    """Score, train, score again, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=500, help="training steps of each run")
    parser.add_argument("--rate", type=float, default=2e-4, help="first learning rate of Adam")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each setting")
    parser.add_argument("--scored", type=int, default=500, help="test images the files are run on")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each")
    asked = parser.parse_args()
    if not data.available():
        sys.exit("the labelled data of ../shared/data is not here; this benchmark needs it")
    from edgekit.check.machine import describe_machine

    torch.set_num_threads(1)
    lessons, exact = prepare_lessons(), cifar_top1(pretrained(NET))
    print(f"float {exact:.2f}", file=sys.stderr, flush=True)
    wanted = [(name, seed) for seed in range(asked.seeds) for name in TRAINED]
    with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        runs = list(pool.map(functools.partial(run, asked=asked), wanted))
    found: dict[str, dict[str, object]] = {}
    for name, settings in SETTINGS.items():
        trained = [one for (label, _), one in zip(wanted, runs, strict=True) if label == name]
        found[name] = {**quantize_plainly(lessons, settings), "runs": trained}
    machine = describe_machine()
    kept = {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa), "runtimes": machine.runtimes},
        "net": NET,
        "steps": asked.steps,
        "rate": asked.rate,
        "batch": BATCH,
        "scored_by_files": asked.scored,
        "float": exact,
        "settings": found,
    }
    text = tabulate(exact, found)
    table.keep("quantization_aware", kept, text)
    print(text)


def tabulate(exact: float, found: dict[str, dict[str, object]]) -> str:
    """One row per setting, mean and spread over the seeds."""
    rows = []
    for name, entry in found.items():
        runs, starts = entry["runs"], [entry["ptq_nearest"], entry["ptq_corrected"]]
        assert isinstance(runs, list)
        row = [name, f"{exact:.2f}", *(f"{start:.2f}" for start in starts)]
        if runs:
            top1 = [run["top1"] for run in runs]
            shares = [[(value - start) / (exact - start) for value in top1] for start in starts]
            agreement = min(run["files"]["agreement"] for run in runs)
            row += [spread(top1), *(spread(share) for share in shares), f"{agreement:.1f} %"]
        else:
            row += ["-"] * 4
        rows.append(row)
    header = (
        "ResNet-20, top-1 %",
        "float",
        "PTQ, nearest",
        "PTQ, biases corrected",
        "trained",
        "of nearest's loss",
        "of corrected's loss",
        "files agree",
    )
    return table.markdown(header, rows)


def spread(values: list[float]) -> str:
    """Mean, smallest and largest."""
    mean, low, high = (f"{value:.2f}" for value in (statistics.mean(values), min(values), max(values)))
    return f"{mean} ({low} to {high})"


if __name__ == "__main__":
    main()
