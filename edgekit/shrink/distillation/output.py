"""Outputs that are no classes (boxes, heat maps, regressions, embeddings): the student copies the teacher's numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import InputError
from edgekit.shrink.distillation.kd import require_same_shape


class OutputLoss(nn.Module):
    """Mean squared difference of outputs; of several outputs, the mean of their means."""

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
        labels: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar.

        Args:
            student: One output of any shape, or several.
            teacher: As many, of the same shapes.
            labels: Not used.

        Raises:
            InputError: Numbers or shapes of outputs differ.
        """
        ours = [student] if isinstance(student, Tensor) else list(student)
        theirs = [teacher] if isinstance(teacher, Tensor) else list(teacher)
        if len(ours) != len(theirs):
            raise InputError(f"the student has {len(ours)} outputs, the teacher {len(theirs)}")
        for one, other in zip(ours, theirs, strict=True):
            require_same_shape(one, other)
        return torch.stack([functional.mse_loss(*pair) for pair in zip(ours, theirs, strict=True)]).mean()
