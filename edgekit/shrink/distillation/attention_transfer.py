"""Attention transfer: the student looks where the teacher looks (Zagoruyko and Komodakis 2017, arXiv 1612.03928).

An attention map is the sum of squares over channels, so that nets of different widths compare without any projection.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError
from edgekit.shrink.distillation.sizes import same_positions


class AttentionTransfer(nn.Module):
    """Squared distance of normalised attention maps, summed over positions, mean over the batch and over the taps.

        Q = sum_c a_c^2 as a vector over positions;  loss = || Q_student / |Q_student| - Q_teacher / |Q_teacher| ||^2

    The paper's equation 2 with the squared norm of its published code; it lies in [0, 2] for each pair.

    Law: repeating, permuting or scaling the channels of either side changes nothing.
    """

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The loss, a scalar.

        Args:
            student: Feature maps (batch, channels, positions...) of the student's taps.
            teacher: Those of the teacher's taps, in the same order. Where sizes differ, the larger map is averaged
                down to the smaller.

        Raises:
            InputError: A map has no positions.
        """
        found = [
            _distance(*same_positions(_attention(ours), _attention(theirs)))
            for ours, theirs in zip(student, teacher, strict=True)
        ]
        return torch.stack(found).mean()


def _attention(features: Tensor) -> Tensor:
    """Sum of squares over channels: (batch, 1, positions...)."""
    if features.dim() < 3:
        raise InputError(
            f"attention transfer needs feature maps; a tap gives the shape {tuple(features.shape)}",
            hint="tap a layer before the pooling, or use the loss 'feature'",
        )
    return features.square().sum(1, keepdim=True)


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    ours, theirs = (functional.normalize(attention.flatten(1), dim=1) for attention in (student, teacher))
    return (ours - theirs).square().sum(1).mean()
