"""What a zoo script does when it is run: train, prune, or only measure; each stage writes its rows of the card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn

from edgekit.cli.progress import watch
from edgekit.types.progress import Progress
from models.cards import write_figures
from models.measuring import Subject, measure
from models.net import ZooNet
from models.training import fit


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
            raise NotImplementedError
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
