"""Masks: single weights set to zero and held there, for those who ask.

What it buys, honestly. "2:4" (two of every four neighbours along the inputs are zero) is fast on tensor cores of NVIDIA
Ampere and later (Jetson Orin), through TensorRT, and nowhere else; "unstructured" makes no runtime of ours faster: only
a compressed file gets smaller. Structured pruning (`prune`) is what makes a module faster on a CPU.

The share of zeros may grow over the steps of a training as s * (1 - (1 - t)^3) (Zhu and Gupta 2017, arXiv 1710.01878).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from edgekit.errors import ShrinkError
from edgekit.types.strict_table import between, one_of

Pattern = Literal["2:4", "unstructured"]
PATTERNS: tuple[str, ...] = get_args(Pattern)
FOUR = 4
"""Neighbours of which two stay in "2:4"."""


class Masked(nn.Module):
    """A parametrization: the weight times a mask of zeros and ones."""

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Start with nothing masked."""
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight, zero where the mask is; what is masked gets no gradient."""
        return weight * self.mask


class Sparsity:
    """Masks on the weights of a module, which stay in force while it is trained.

    Attributes:
        module: The one that was handed over; its weights are parametrized until `finish`.
        pattern: "2:4" or "unstructured".
        amount: Share of zeros to reach, 0..1.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str], *, pattern: str, amount: float, steps: int) -> None:
        """Put masks on the named layers; see `sparsify`."""
        self.module = module
        self.pattern = pattern
        self.amount = amount
        self._layers = tuple(layers)
        self._steps = steps
        self._step = 0
        for path in self._layers:
            layer = module.get_submodule(path)
            weight = layer.weight
            assert isinstance(weight, Tensor)
            parametrize.register_parametrization(layer, "weight", Masked(weight.detach()))
        self._apply()

    @property
    def goal(self) -> float:
        """Share of zeros that the present step asks for."""
        progress = 1.0 if self._steps == 0 else min(self._step / self._steps, 1.0)
        return self.amount * (1.0 - (1.0 - progress) ** 3)

    @property
    def sparsity(self) -> float:
        """Share of zeros in the masked weights now."""
        masks = [self._mask(path).mask for path in self._layers]
        return 1.0 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

    @property
    def note(self) -> str:
        """What these zeros are good for."""
        if self.pattern == "2:4":
            return "2:4 zeros are faster only on NVIDIA tensor cores since Ampere (Jetson Orin) through TensorRT"
        return "unstructured zeros make no runtime faster; a compressed file gets smaller"

    def step(self) -> None:
        """Call after each optimizer step: chooses the masks anew while the share of zeros still grows."""
        if self._step < self._steps:
            self._step += 1
            self._apply()

    def go_to(self, step: int) -> None:
        """Choose the masks of a step, counted from 0: for a training that is resumed, or that chooses them less often.

        Raises:
            RecipeError: There is no such step.
        """
        between("step", step, 0, self._steps)
        self._step = step
        self._apply()

    def finish(self, *, early: bool = False) -> nn.Module:
        """Write the zeros into the weights and take the masks off; returns the module.

        Args:
            early: The training stopped before its time: keep the zeros there are.

        Raises:
            ShrinkError: The schedule is not at its end.
        """
        if self._step < self._steps and not early:
            raise ShrinkError(
                f"the schedule of zeros is at step {self._step} of {self._steps}", hint="call step() after each step"
            )
        for path in self._layers:
            parametrize.remove_parametrizations(self.module.get_submodule(path), "weight", leave_parametrized=True)
        self._layers = ()
        return self.module

    def _mask(self, path: str) -> Masked:
        found = self.module.get_submodule(f"{path}.parametrizations.weight.0")
        assert isinstance(found, Masked)
        return found

    def _weight(self, path: str) -> Tensor:
        found = self.module.get_submodule(f"{path}.parametrizations.weight").original
        assert isinstance(found, Tensor)
        return found.detach()

    def _apply(self) -> None:
        if self.pattern == "2:4":
            share = self.goal / self.amount if self.amount else 0.0
            for path in self._layers:
                self._mask(path).mask.copy_(two_of_four(self._weight(path), share=share))
            return
        sizes = torch.cat([self._weight(path).abs().flatten() for path in self._layers])
        count = round(self.goal * len(sizes))
        if not count:
            return
        gone = torch.zeros(len(sizes), dtype=torch.bool)
        gone[sizes.argsort(stable=True)[:count].cpu()] = True
        start = 0
        for path in self._layers:
            mask = self._mask(path).mask
            mask.copy_(~gone[start : start + mask.numel()].view_as(mask))
            start += mask.numel()


def two_of_four(weight: Tensor, *, share: float = 1.0) -> Tensor:
    """bool mask with the two largest of each four neighbours along the inputs.

    Args:
        weight: (outputs, inputs, ...); for a kernel the neighbours are input channels at the same place. Inputs that
            are no multiple of 4 leave a rest that stays whole.
        share: Of the runs of four, the least costly ones first, that get their zeros.
    """
    rows = weight.detach().abs().movedim(1, -1)
    whole = rows.shape[-1] // FOUR * FOUR
    mask = torch.ones_like(rows, dtype=torch.bool)
    fours = rows[..., :whole].reshape(*rows.shape[:-1], -1, FOUR)
    order = fours.argsort(dim=-1, stable=True)
    zeros = torch.zeros_like(fours, dtype=torch.bool).scatter_(-1, order[..., :2], value=True)
    if share < 1.0:
        loss = (fours * zeros).sum(-1)
        count = round(share * loss.numel())
        chosen = torch.zeros(loss.numel(), dtype=torch.bool)
        chosen[loss.flatten().argsort(stable=True)[:count].cpu()] = True
        zeros &= chosen.to(zeros.device).view_as(loss)[..., None]
    mask[..., :whole] = ~zeros.flatten(-2)
    return mask.movedim(-1, 1)


def sparsify(
    model: nn.Module, *, pattern: str = "2:4", amount: float = 0.5, steps: int = 0, ignore: Sequence[str] = ()
) -> Sparsity:
    """Put masks on the weights of every convolution and Linear of a module, in place.

    Args:
        model: Its weights become parametrized; make the optimizer afterwards or before, the parameters stay the same.
        pattern: "2:4" or "unstructured" (the smallest weights of the whole module).
        amount: Share of zeros; "2:4" has 0.5.
        steps: Optimizer steps over which the zeros grow; 0 puts all of them in place now.
        ignore: Shell patterns of module paths that stay dense.

    Raises:
        RecipeError: An unknown pattern, or an amount outside of 0..1.
        ShrinkError: No layer to mask, or an amount that the pattern cannot have.
    """
    one_of("pattern", pattern, PATTERNS)
    between("amount", amount, 0.0, 1.0)
    between("steps", steps, 0, 10**9)
    if pattern == "2:4" and amount != 1 / 2:
        raise ShrinkError(f'pattern "2:4" has a share of zeros of 0.5, found amount={amount:g}', hint="leave it out")
    layers = [
        path
        for path, layer in model.named_modules()
        if isinstance(layer, _ConvNd | nn.Linear) and not any(fnmatchcase(path, shell) for shell in ignore)
        if pattern == "unstructured" or layer.weight.shape[1] >= FOUR
    ]
    layers = [path for path in layers if not path.endswith("out_proj")]  # attention reads its weight past the masks
    if not layers:
        raise ShrinkError(
            f'{type(model).__name__} has no layer for the pattern "{pattern}"', hint="it needs a convolution or Linear"
        )
    return Sparsity(model, layers, pattern=pattern, amount=amount, steps=steps)
