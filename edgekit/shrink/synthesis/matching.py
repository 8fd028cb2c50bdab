"""Inputs moved by gradient until the values inside the model have the statistics of training.

Objective: per BatchNorm and channel the Kullback-Leibler divergence of two normal distributions, batch from training,
`(v/V + (m-M)^2/V - 1 - ln(v/V)) / 2`, averaged over channels, then over BatchNorms. Distilled data (Cai et al. 2020,
ZeroQ, arXiv 2001.00281) uses squared differences of mean and deviation; the divergence is the same idea without a unit,
so that no layer drowns the others.

For classifiers a cross-entropy towards a class of its own is added per input (DeepInversion, Yin et al. 2020, arXiv
1912.08795): the statistics alone leave the last layer, which has no BatchNorm behind it, without the confident results
that real inputs give, and its int8 range would cut off every winner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.shrink.synthesis.torch_executor import TorchExecutor
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.graph import Graph
from edgekit.types.qparams import Array

FLOOR = 0.05
"""Added to both variances, in units of the median channel's: a dead channel must not be matched exactly."""
CLASS_WEIGHT = 0.02
"""Of the cross-entropy. As int8 on 100 photos EfficientNet-Lite0 has 22.2 dB (22.8 when calibrated on photos, 18 to 20
without the cross-entropy) for anything from 0.01 to 0.1, ResNet-20 26.8 dB (28.8 on photos, 17.8 without)."""
LEARNING_RATE = 0.1
"""Of Adam, in standard deviations of the input."""
PATIENCE = 10
"""Steps after which a loss that did not fall by `LEAST_GAIN` has settled."""
LEAST_GAIN = 0.01
BOUND = 2.5
"""Inputs stay within so many standard deviations: photographs do, black and white being 2.2 to 2.3 off their mean (60
of ImageNet). Lite0 loses 3 dB at 2.1, where the brightest pixels are cut off."""


class Objective:
    """The loss of a batch of inputs.

    Attributes:
        logits: The value that a class is read from, or None.
        classes: How many.
        unit: What logits are divided by, see `measure_unit`.
    """

    def __init__(self, graph: Graph, statistics: Sequence[BatchNormStatistics], *, classify: bool = True) -> None:
        """Prepare the part of `graph` that the statistics speak of.

        Args:
            graph: A float graph with batch axes.
            statistics: What to match.
            classify: Add the cross-entropy where the graph is a classifier.
        """
        self.logits = _logits(graph) if classify else None
        self.classes = graph.values[self.logits].shape[-1] if self.logits else 0
        names = [item.value for item in statistics]
        self.unit = 1.0
        self._executor = TorchExecutor(graph, [*names, *([self.logits] if self.logits else [])], before_clamp=True)
        self._expected = []
        for item in statistics:
            mean, variance = (torch.from_numpy(np.array(row, np.float32)) for row in (item.mean, item.variance))
            self._expected.append((item.value, mean, variance, FLOOR * variance.median() + 1e-12))

    def measure_unit(self, inputs: Mapping[str, Tensor]) -> None:
        """Take the standard deviation of the logits of `inputs` as their unit.

        Nothing inside the model says how large logits get: the same classes come out of any multiple of them.
        """
        if self.logits is not None:
            with torch.no_grad():
                logits = self._executor(inputs)[self.logits]
            self.unit = max(float(logits.std()), 1e-6)

    def divergence(self, results: Mapping[str, Tensor]) -> Tensor:
        """Mean divergence over channels and BatchNorms, nats."""
        terms = []
        for name, mean, variance, floor in self._expected:
            value = results[name]
            axes = [axis for axis in range(value.ndim) if axis != 1]
            seen = value.mean(axes)
            ratio = (value.square().mean(axes) - seen.square() + floor) / (variance + floor)
            terms.append((0.5 * (ratio + (seen - mean).square() / (variance + floor) - 1 - ratio.log())).mean())
        return torch.stack(terms).mean()

    def loss(self, inputs: Mapping[str, Tensor], targets: Tensor | None) -> Tensor:
        """The objective of a batch; `targets` are int64 (N,) classes, or None."""
        results = self._executor(inputs)
        loss = self.divergence(results)
        if self.logits is not None and targets is not None:
            loss = loss + CLASS_WEIGHT * F.cross_entropy(results[self.logits] / self.unit, targets)
        return loss


def _logits(graph: Graph) -> str | None:
    """The only output of a classifier, before a Softmax: (1, K) with K > 1."""
    if len(graph.outputs) != 1:
        return None
    name = graph.outputs[0]
    node = graph.producers.get(name)
    if node is not None and node.op == "Softmax":
        name = node.inputs[0]
    shape = graph.values[name].shape if name in graph.values else ()
    return name if len(shape) == 2 and shape[0] == 1 and shape[1] > 1 and graph.dtype(name) == "float32" else None


class Standardized:
    """Inputs as a mean and a deviation per channel, and standard numbers that vary: what is optimized.

    Attributes:
        mean: input name -> (1, C, 1, ...) or (1, 1).
        deviation: input name -> scalar tensor.
    """

    def __init__(self, graph: Graph) -> None:
        """Start at mean 0 and deviation 1."""
        self.mean: dict[str, Tensor] = {}
        self.deviation: dict[str, Tensor] = {}
        for name in graph.inputs:
            shape = graph.values[name].shape
            channels = shape[1] if len(shape) > 2 else 1
            self.mean[name] = torch.zeros(1, channels, *[1] * (len(shape) - 2))
            self.deviation[name] = torch.ones(())

    def inputs(self, numbers: Mapping[str, Tensor], *, slope: float = 0.1) -> dict[str, Tensor]:
        """The model's inputs; numbers beyond `BOUND` count only by `slope`, so that gradients bring them back."""
        found = {}
        for name, number in numbers.items():
            inside = number.clamp(-BOUND, BOUND)
            found[name] = self.mean[name] + self.deviation[name] * (inside + slope * (number - inside))
        return found

    def fit(self, objective: Objective, numbers: Mapping[str, Tensor], *, steps: int = 60) -> None:
        """Choose mean and deviation so that the objective (of the first layers) is least."""
        mean = {name: value.clone().requires_grad_() for name, value in self.mean.items()}
        logarithm = {name: torch.zeros(()).requires_grad_() for name in self.deviation}
        optimizer = torch.optim.Adam([*mean.values(), *logarithm.values()], lr=0.1)
        for _ in range(steps):
            self.mean, self.deviation = mean, {name: value.exp() for name, value in logarithm.items()}
            loss = objective.loss(self.inputs(numbers), None)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self.mean = {name: value.detach() for name, value in mean.items()}
        self.deviation = {name: value.detach().exp() for name, value in logarithm.items()}


def descend(
    objective: Objective, frame: Standardized, numbers: Mapping[str, Tensor], *, targets: Tensor | None, steps: int
) -> dict[str, Tensor]:
    """Adam on the numbers for at most `steps` steps, until the loss settles.

    Returns:
        The numbers, input name -> tensor, within `BOUND`.
    """
    moved = {name: value.clone().requires_grad_() for name, value in numbers.items()}
    optimizer = torch.optim.Adam(moved.values(), lr=LEARNING_RATE, betas=(0.9, 0.99))
    losses: list[float] = []
    for _ in range(steps):
        loss = objective.loss(frame.inputs(moved), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
        if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > (1 - LEAST_GAIN) * min(losses[:-PATIENCE]):
            break
    return {name: value.detach().clamp(-BOUND, BOUND) for name, value in moved.items()}


def as_array(values: Tensor) -> Array:
    """A tensor as a numpy array of its own."""
    array: Array = values.detach().contiguous().numpy().copy()
    return array
