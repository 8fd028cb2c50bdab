"""The recipe's labelled data as a score of a torch module, while it is being made smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.load.presets import parse_preprocessing
from edgekit.load.samples import open_samples
from edgekit.request import Request
from edgekit.training.scoring import score
from edgekit.types.sample_set import SampleSet
from edgekit.types.spec import TensorSpec

BATCH = 128


@dataclass(frozen=True, eq=False)
class Examination:
    """Labelled samples, opened once.

    Attributes:
        samples: With labels.
        inputs: The model's, in calling order.
    """

    samples: SampleSet
    inputs: tuple[TensorSpec, ...]

    def __call__(self, module: nn.Module) -> float:
        """Share of samples whose largest output is the label, 0..1.

        Raises:
            InputError: The module's output is no logits.
        """
        return score(module, self._batches(), torch.device("cpu"))

    def _batches(self) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        labels = self.samples.labels()
        assert labels is not None  # see `open_examination`
        for start in range(0, self.samples.count, BATCH):
            chosen = np.arange(start, min(start + BATCH, self.samples.count))
            rows = list(self.samples.select(chosen))
            feeds = (torch.from_numpy(np.concatenate([row[spec.name] for row in rows])) for spec in self.inputs)
            yield tuple(feeds), torch.from_numpy(labels[chosen])


def open_examination(request: Request, inputs: tuple[TensorSpec, ...], workdir: Path) -> Examination | None:
    """The evaluation data; None where there is none, it has no labels, or the metric is not top-1.

    Raises:
        CalibrationError: The data does not fit the model's inputs.
    """
    if request.evaluation is None or request.metric is not None:
        return None
    given = request.preprocessing
    preprocessing = parse_preprocessing(given, inputs[0]) if isinstance(given, str) else given
    samples = open_samples(request.evaluation, inputs=inputs, workdir=workdir, preprocessing=preprocessing)
    return Examination(samples, inputs) if samples.labels() is not None and samples.count else None
