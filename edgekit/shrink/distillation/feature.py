"""Hints: inner layers of the student learn the teacher's through a projection that is learned along (FitNets).

Romero et al. 2015 (arXiv 1412.6550, equation 3). The projection is there where widths differ and is thrown away after
training; a pruned net with the residual stream of its teacher is compared channel by channel. Outputs with two axes
are (batch, features), with three (batch, tokens, features), with more (batch, channels, positions...).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError
from edgekit.shrink.distillation.sizes import same_positions


class FeatureHints(nn.Module):
    """Squared difference between projected student features and teacher features, mean over the taps.

        loss = mean((projected - teacher)^2) / mean(teacher^2)

    The paper's without the denominator, which takes the unit out: 1 is what all-zero features give, whatever the net,
    so that one weight fits beside other losses.

    Attributes:
        projections: One for each pair of taps, student to teacher: a linear layer over the features, or nothing where
            there are as many.
    """

    def __init__(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size], seed: int = 0) -> None:
        """Make projections that fit.

        Args:
            student: Shapes of the student's tapped outputs, with a batch axis.
            teacher: Those of the teacher's, in the same order.
            seed: Of the first weights of the projections; the global generator is not touched.

        Raises:
            InputError: The numbers of taps or of axes differ.
        """
        super().__init__()
        if len(student) != len(teacher) or not student:
            raise InputError(f"{len(student)} taps of the student for {len(teacher)} of the teacher; they go in pairs")
        generator = torch.Generator().manual_seed(seed)
        self.projections = nn.ModuleList(
            _projection(ours, theirs, generator) for ours, theirs in zip(student, teacher, strict=True)
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The loss, a scalar; where sizes differ, the larger map is averaged down to the smaller."""
        found = [
            _relative(*_matched(projection, ours, theirs))
            for projection, ours, theirs in zip(self.projections, student, teacher, strict=True)
        ]
        return torch.stack(found).mean()


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squares of the difference, as a share of those of what is wanted."""
    power = wanted.square().mean().clamp_min(torch.finfo(wanted.dtype).tiny)
    return functional.mse_loss(found, wanted) / power


def _projection(student: torch.Size, teacher: torch.Size, generator: torch.Generator) -> nn.Module:
    if len(student) != len(teacher) or len(student) < 2:
        raise InputError(
            f"the student's tap gives {tuple(student)}, the teacher's {tuple(teacher)}: no projection leads there",
            hint="tap layers whose outputs have as many axes, two or more",
        )
    axis = _feature_axis(len(student))
    if student[axis] == teacher[axis]:
        return nn.Identity()
    layer = nn.Linear(student[axis], teacher[axis], device="meta").to_empty(device="cpu")
    bound = student[axis] ** -0.5
    for weights in layer.parameters():
        nn.init.uniform_(weights, -bound, bound, generator=generator)
    return layer


def _feature_axis(axes: int) -> int:
    return 1 if axes > 3 else -1


def _matched(projection: nn.Module, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both with features last, the student's projected, positions averaged to the same number."""
    if student.dim() == 2:
        return projection(student), teacher
    channels_first = _feature_axis(student.dim()) == 1
    if not channels_first:
        student, teacher = student.movedim(-1, 1), teacher.movedim(-1, 1)
    student, teacher = same_positions(student, teacher)
    return projection(student.movedim(1, -1)), teacher.movedim(1, -1)
