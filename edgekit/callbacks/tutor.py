"""Tutor: the teacher's part of a loss that somebody else computes.

A training library owns the loss. What can be had from outside is what the net was called with and what it said: forward
hooks tell both, the teacher is asked the same, and the difference is added.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.callbacks.schedule import DistillPhase
from edgekit.errors import InputError, ShrinkError
from edgekit.shrink.distillation.dkd import DecoupledTargets
from edgekit.shrink.distillation.kd import SoftTargets
from edgekit.shrink.distillation.output import OutputLoss
from edgekit.training.batches import LABELS, read_outputs
from edgekit.training.modes import modes_kept
from edgekit.training.objective import full_precision

PASSED_OVER = (*LABELS, "num_items_in_batch", "return_loss")
"""Arguments of Hugging Face models that are for the loss; a teacher is not given them."""


@dataclass(frozen=True, eq=False)
class Heard:
    """One call of the net.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        output: What it returned.
    """

    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    output: object


class Tutor:
    """A teacher and how much it counts.

    Attributes:
        weight: Share of its part.
    """

    def __init__(self, phase: DistillPhase, net: nn.Module) -> None:
        """Take the teacher; where it is "self", a copy of `net` as it is now.

        Raises:
            InputError: The net itself is named as its teacher.
        """
        if phase.teacher is net:
            raise InputError(
                "net and teacher are the same module", hint="DistillPhase('self') copies the net before it is changed"
            )
        self.weight = phase.weight
        self._teacher = phase.teacher if isinstance(phase.teacher, nn.Module) else copy.deepcopy(net)
        self._loss = _loss(phase)
        self._open = ExitStack()

    def begin(self, device: torch.device) -> None:
        """Bring the teacher to the net's device, in evaluation mode, until `end`."""
        self.end()
        self._open.enter_context(modes_kept(self._teacher))
        homes = {value.device for value in (*self._teacher.parameters(), *self._teacher.buffers())}
        if len(homes) == 1:
            self._open.callback(self._teacher.to, homes.pop())
        self._teacher.to(device).eval()
        self._loss.to(device)

    def end(self) -> None:
        """Put the teacher back as it was."""
        self._open.close()

    def term(self, heard: Sequence[Heard], labels: Tensor | None) -> Tensor:
        """The teacher's part, a scalar: the mean over the calls that were heard.

        Raises:
            InputError: The net was not called, or outputs do not fit.
            ShrinkError: It is no number.
        """
        if not heard:
            raise InputError(
                "the training step did not call the net, so a teacher cannot be asked the same",
                hint="module= must name the module that the training step calls",
            )
        total = torch.stack([self._compare(one, labels) for one in heard]).mean()
        if not bool(torch.isfinite(total.detach())):
            raise ShrinkError(
                f"the distillation loss is {float(total.detach())}",
                hint="a lower learning rate, a higher temperature, or a look at the teacher's outputs",
            )
        return total

    def mixed(self, loss: Tensor, term: Tensor) -> Tensor:
        """(1 - weight) * loss + weight * term."""
        return (1.0 - self.weight) * loss + self.weight * term

    def _compare(self, heard: Heard, labels: Tensor | None) -> Tensor:
        asked = {name: value for name, value in heard.kwargs.items() if name not in PASSED_OVER}
        with torch.no_grad():
            said = full_precision(read_outputs(self._teacher(*heard.args, **asked)))
        found: Tensor = self._loss(full_precision(read_outputs(_without_loss(heard.output))), said, labels)
        return found


@contextmanager
def listening(net: nn.Module) -> Iterator[list[Heard]]:
    """Every call of a net in training mode, as long as the block runs."""
    heard: list[Heard] = []

    def note(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object) -> None:
        if module.training:
            heard.append(Heard(args, kwargs, output))

    handle = net.register_forward_hook(note, with_kwargs=True)
    try:
        yield heard
    finally:
        handle.remove()


def _loss(phase: DistillPhase) -> nn.Module:
    if isinstance(phase.loss, nn.Module):
        return phase.loss
    if phase.loss == "kd":
        return SoftTargets(phase.temperature)
    return DecoupledTargets(phase.temperature) if phase.loss == "dkd" else OutputLoss()


def _without_loss(output: object) -> object:
    """A dict output without its entry "loss", which is no answer."""
    if isinstance(output, Mapping) and "logits" not in output:
        return {name: value for name, value in output.items() if name != "loss"}
    return output
