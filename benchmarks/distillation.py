"""Does a teacher help? A keyword spotter of a quarter of the width, alone and distilled, on spoken digits (FSDD).

    python -m benchmarks.distillation [--steps 1300] [--seeds 3]

The case is the usual one: recordings are plenty, labels are few. The teacher (DS-CNN, width 64) was trained on all
2700 labels. The student (width 16) has the labels of 300 of these recordings, 5 for each digit and speaker:

- alone on the 300 labels;
- distilled (`loss="kd"`, no labels): on all 2700 recordings, labelled by the teacher alone;
- alone on all 2700 labels, to see what the missing labels cost.

All three have the same net, seeds, steps, optimizer, learning rate and kind of augmentation. Accuracy is top-1 on 300
other recordings after the last step: nothing is chosen on them. Mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import table
from benchmarks.nets import data
from benchmarks.nets.keywords import KeywordSpotter
from benchmarks.nets.training import shift

TEACHER_EPOCHS = 12
STUDENT_WIDTH = 16
LABELLED_EVERY = 9
"""Every ninth of 45 recordings of each digit and speaker has its label."""

VARIANTS = 4
"""Shifted copies of each recording that the distilled student sees: fixed, so that the teacher is asked once each."""

TEMPERATURE = 2.0
RATE = 8e-3

KINDS = {
    "few": "alone, 300 labels",
    "distilled": "distilled, no labels, 2700 recordings",
    "all": "alone, 2700 labels",
}

Loader = DataLoader[tuple[Tensor, ...]]


def main() -> None:
    """Train the teacher once and each student for each seed; score; keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1300, help="optimizer steps of each student")
    parser.add_argument("--seeds", type=int, default=3, help="how many students of each kind")
    chosen = parser.parse_args()
    if not data.available():
        sys.exit("the recordings of ../shared/data are not here; this benchmark needs them")
    from edgekit.check.machine import describe_machine

    torch.set_num_threads(1)
    start = time.process_time()
    train, test = data.speech_train(), data.speech_test()
    inputs, labels = torch.from_numpy(train.inputs), torch.from_numpy(train.labels)
    scoring = _loader(torch.from_numpy(test.inputs), torch.from_numpy(test.labels))
    teacher = _teacher(_loader(inputs, labels))
    few = torch.from_numpy(np.flatnonzero(np.arange(len(labels)) % LABELLED_EVERY == 0))
    loaders = {
        "few": _loader(inputs[few], labels[few]),
        "distilled": _loader(_variants(inputs)),
        "all": _loader(inputs, labels),
    }
    scores: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, chosen.seeds + 1):
            for kind in KINDS:
                student = _student(kind, teacher, loaders[kind], (seed, chosen.steps), Path(folder))
                scores[kind].append(_accuracy(student, scoring))
                print(f"seed {seed}, {KINDS[kind]}: {scores[kind][-1]:.4f}", file=sys.stderr, flush=True)
    machine = describe_machine()
    kept = {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa)},
        "cpu_seconds": round(time.process_time() - start),
        "steps": chosen.steps,
        "teacher": {"accuracy": _accuracy(teacher, scoring), "parameters": _parameters(teacher)},
        "student": {"parameters": _parameters(student), "accuracy": scores},
    }
    rows = [("teacher, 2700 labels", f"{_parameters(teacher):,}", f"{100 * _accuracy(teacher, scoring):.1f}", "")]
    rows += [
        (
            f"student, {KINDS[kind]}",
            f"{_parameters(student):,}",
            f"{100 * statistics.mean(found):.1f} ± {100 * statistics.stdev(found):.1f}" if len(found) > 1 else "",
            ", ".join(f"{100 * value:.1f}" for value in found),
        )
        for kind, found in scores.items()
    ]
    text = table.markdown(("FSDD, 300 recordings", "parameters", "top-1 %", "seeds"), rows)
    print(text)
    table.keep("distillation", kept, text)


def _loader(*tensors: Tensor) -> Loader:
    return DataLoader(TensorDataset(*tensors), batch_size=64, shuffle=True)


def _teacher(loader: Loader) -> nn.Module:
    from edgekit.training.fit import finetune
    from edgekit.training.settings import TrainingSettings

    torch.manual_seed(0)
    settings = TrainingSettings(lr=4e-3, warmup=0.1, weight_decay=0.02)
    return finetune(KeywordSpotter(), loader, epochs=TEACHER_EPOCHS, settings=settings, augment=shift).model.eval()


def _variants(inputs: Tensor) -> Tensor:
    """Shifted copies, mixed anew each time, since neighbours are shifted alike."""
    torch.manual_seed(5)
    return torch.cat([shift(inputs[torch.randperm(len(inputs))]) for _ in range(VARIANTS)])


def _student(kind: str, teacher: nn.Module, loader: Loader, run: tuple[int, int], folder: Path) -> nn.Module:
    """A student of a kind; `run` is its seed and its steps."""
    from edgekit.training.distilling import distill
    from edgekit.training.fit import finetune
    from edgekit.training.settings import Distillation, TrainingSettings

    seed, steps = run
    torch.manual_seed(seed)
    student = KeywordSpotter(STUDENT_WIDTH)
    settings = TrainingSettings(lr=RATE, warmup=0.1, weight_decay=0.02, seed=seed)
    if kind != "distilled":
        return finetune(student, loader, steps=steps, settings=settings, augment=shift).model.eval()
    result = distill(
        student,
        teacher,
        loader,
        steps=steps,
        task_loss=None,
        distillation=Distillation(temperature=TEMPERATURE),
        settings=settings,
        cache=folder,
    )
    return result.model.eval()


def _accuracy(net: nn.Module, loader: Loader) -> float:
    from edgekit.training.scoring import score

    return score(net, loader, torch.device("cpu"))


def _parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


if __name__ == "__main__":
    main()
