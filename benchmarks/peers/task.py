"""What a driver is handed: one net's files, and where to write. Needs NumPy only: it runs in every environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

INPUT = "input"
"""Name of the one input of every net of the race."""


@dataclass(frozen=True)
class Task:
    """One compression.

    Attributes:
        net: The net's folder, as `benchmarks.nets.catalogue.prepare` made it.
        out: Existing folder; the driver writes `model.onnx` there.
    """

    net: Path
    out: Path

    @property
    def float_onnx(self) -> Path:
        """The file every tool starts from."""
        return self.net / "float.onnx"

    @property
    def float_module(self) -> Path:
        """The same net as a whole torch module, for tools that do not read ONNX."""
        return self.net / "module.pt"

    @property
    def result(self) -> Path:
        """Where the compressed file goes."""
        return self.out / "model.onnx"

    def samples(self, limit: int | None = None) -> Iterator[Array]:
        """Calibration inputs, float32 with a batch axis of 1, read one at a time; at most `limit`, evenly spread."""
        with np.load(self.net / "calibration.npz", allow_pickle=False) as archive:
            names = sorted(archive.files)
            step = max(1, len(names) // limit) if limit else 1
            for name in names[::step][:limit]:
                yield archive[name]

    def feeds(self, limit: int | None = None) -> Iterator[dict[str, Array]]:
        """The samples as ONNX Runtime takes them."""
        return ({INPUT: sample} for sample in self.samples(limit))
