"""Feature maps of different sizes made comparable: the larger is averaged down to the smaller."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from edgekit.errors import InputError


def same_positions(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps with as many positions along each axis as the smaller has.

    Args:
        student: (batch, channels, 1 to 3 axes of positions).
        teacher: The same, with other numbers.

    Raises:
        InputError: The batch sizes or the numbers of axes differ: the taps do not show the same thing.
    """
    if student.dim() != teacher.dim() or len(student) != len(teacher):
        raise InputError(
            f"the student's tap gives {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}: they do not match",
            hint="tap layers whose outputs have as many axes",
        )
    small = tuple(min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True))
    return _pooled(student, small), _pooled(teacher, small)


def _pooled(features: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(features.shape[2:]) == size:
        return features
    if len(size) == 1:
        return functional.adaptive_avg_pool1d(features, size[0])
    if len(size) == 2:
        return functional.adaptive_avg_pool2d(features, size)
    return functional.adaptive_avg_pool3d(features, (size[0], size[1], size[2]))
