"""Samples: a calibration or evaluation set that can be walked through any number of times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from edgekit.types.preprocessing import Preprocessing
from edgekit.types.qparams import Array


class Samples(Protocol):
    """Single samples (batch axis of size 1 kept), one at a time, so that memory does not grow with their count.

    The same order on every walk.
    """

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def source(self) -> str:
        """Where they came from, for reports."""
        ...

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The spec applied to images, when there was one."""
        ...

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        """Input name -> array of the input's shape and dtype."""
        ...

    def labels(self) -> Array | None:
        """int64 (count,) class labels, or None when the set has none."""
        ...
