"""Zeros in the weights: masks that grow with the steps, and zeros that stay once a net is rounded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.callbacks.schedule import SparsityPhase
from edgekit.shrink.pruning.masks import Sparsity, sparsify

GRAIN = 10_000
"""Parts into which the growth is divided."""


class GrowingZeros:
    """Masks on the layers of a net, with more and more zeros."""

    def __init__(self, net: nn.Module, phase: SparsityPhase) -> None:
        """Put masks without zeros on.

        Raises:
            ShrinkError: The net has no layer for the pattern.
        """
        self._masks: Sparsity = sparsify(
            net, pattern=phase.pattern, amount=phase.amount, steps=GRAIN, ignore=phase.ignore
        )

    def grow(self, progress: float) -> None:
        """Choose masks anew, for a progress of 0..1."""
        self._masks.go_to(round(progress * GRAIN))

    @property
    def share(self) -> float:
        """Share of zeros in the masked weights."""
        return self._masks.sparsity

    def finish(self) -> None:
        """Write the zeros into the weights, as many as there are now."""
        self._masks.finish(early=True)


class HeldZeros:
    """Weights that are zero when this is made stay zero: a rounded net is trained without masks.

    Vectors are left alone: what is sparse is the weights of layers.
    """

    def __init__(self, net: nn.Module) -> None:
        """Look which weights are zero."""
        self._weights = [value for value in net.parameters() if value.dim() > 1 and value.requires_grad]
        self._masks: list[Tensor] = [value.detach() != 0 for value in self._weights]

    @torch.no_grad()
    def hold(self) -> None:
        """Call after each optimizer step."""
        for weight, mask in zip(self._weights, self._masks, strict=True):
            weight.mul_(mask)

    @property
    def share(self) -> float:
        """Share of zeros in the weights as they are."""
        zeros = sum(int((value.detach() == 0).sum()) for value in self._weights)
        return zeros / max(1, sum(value.numel() for value in self._weights))
