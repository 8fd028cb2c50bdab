"""What a zoo script does when it is run: train, prune, or only measure; each stage writes its rows of the card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from edgekit.cli.progress import watch
from edgekit.training.distilling import distill
from edgekit.training.pruning import load_pruned, prune
from edgekit.training.settings import TrainingSettings
from edgekit.types.progress import Progress
from models.cards import write_figures
from models.measuring import Subject, measure
from models.net import ZooNet
from models.training import fit, moved


def main(net: ZooNet, arguments: Sequence[str] | None = None) -> None:
    """Run a stage and put its figures in the card.

    Args:
        net: Which net.
        arguments: Of the command line; None takes the process's own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m models.{net.name}.train", description=main.__doc__)
    parser.add_argument("--prune", type=float, metavar="FACTOR", help="prune the trained net to so many fewer MACs")
    parser.add_argument("--measure", action="store_true", help="measure the weights as they are, train nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    command = f"python -m models.{net.name}.train"
    with watch(Console(stderr=True)) as progress:
        if options.prune is None:
            module = net.load() if options.measure else train(net, progress=progress)
            subject = Subject(module, "", net.weights, command)
        else:
            if not options.measure:
                prune_and_tune(net, options.prune, progress=progress)
            module = load_pruned(net.build, net.pruned).eval()
            subject = Subject(module, f"pruned {options.prune:g}x", net.pruned, f"{command} --prune {options.prune:g}")
        figures = measure(net, subject, progress=progress)
    write_figures(net.folder, figures)
    for figure in figures:
        print(f"{figure.name}: {figure.right} of {figure.total}")


def train(net: ZooNet, *, progress: Progress | None = None) -> nn.Module:
    """Train a net from nothing and write its weights."""
    torch.manual_seed(net.schedule.seed)
    module = net.build()
    fit(module, net.data().train, net.schedule, progress=progress)
    part = net.weights.with_suffix(".part")
    save_file(module.state_dict(), part)
    part.chmod(0o644)
    part.replace(net.weights)
    return module


def prune_and_tune(net: ZooNet, speedup: float, *, progress: Progress | None = None) -> None:
    """Prune the trained net, train on with the whole net as teacher, and write weights and plan.

    Args:
        net: Which net; its weights are there.
        speedup: So many times fewer MACs.
        progress: Who watches.
    """
    teacher, schedule = net.load(), net.tuning
    images, labels = map(torch.from_numpy, net.data().train)
    pruned = prune(teacher, images[:1], speedup=speedup, scope="local", data=torch.split(images[::8], 64), repair=False)
    print(pruned)
    distill(
        pruned.model,
        teacher,
        DataLoader(TensorDataset(images, labels), schedule.batch, shuffle=True),
        epochs=schedule.epochs,
        settings=TrainingSettings(lr=schedule.learning_rate, weight_decay=schedule.weight_decay, seed=schedule.seed),
        augment=lambda some: moved(some, schedule.moves),
        progress=progress,
    )
    pruned.model.eval()
    pruned.save(net.pruned)
