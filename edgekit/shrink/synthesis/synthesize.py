"""The story of synthesis: calibration inputs out of nothing but the model.

1. Natural noise, scaled and shifted until the first BatchNorm sees what it saw in training.
2. Adam on the inputs, at half size where the model allows it, until the statistics of all BatchNorms fit and each
   input is taken for a class of its own.
3. A few steps at full size; mirrored copies fill up to the count that was asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.shrink.synthesis.matching import Objective, Standardized, as_array, descend
from edgekit.shrink.synthesis.noise import natural_noise
from edgekit.shrink.synthesis.scaling import runs_at_half_size, with_batch
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.graph import Graph
from edgekit.types.qparams import Array
from edgekit.types.sample_set import SampleSet

CHUNK = 8
"""Inputs optimized together, sharing the statistics: enough to vary, few enough for memory."""
CHUNK_BYTES = 600 * 2**20
"""Activations of a chunk may take about this much, the copies for the gradient included."""
FULL_SIZE_STEPS = 4
"""After the steps at half size."""
BUDGET_MACS = 75e9
"""Multiply-accumulates of forward passes to spend; beyond it inputs are mirrored instead of made. On one core of an AMD
EPYC about 40 CPU seconds for EfficientNet-Lite0."""


def synthesize(
    graph: Graph, statistics: Sequence[BatchNormStatistics], *, count: int, seed: int, steps: int = 30
) -> SampleSet | None:
    """Make calibration inputs that match the BatchNorm statistics of a model.

    Deterministic for one machine, torch build and number of threads.

    Args:
        graph: A float graph, BatchNorms folded; all inputs float32.
        statistics: What its BatchNorms remember.
        count: Inputs wanted. Beyond what `BUDGET_MACS` allows (at least `CHUNK`), images are mirrored copies.
        seed: Of the noise and of the classes.
        steps: Of gradient descent, at most.

    Returns:
        `count` samples, or None where nothing can be matched: no statistics, or an input that is not float32.
    """
    if not statistics or any(graph.dtype(name) != "float32" for name in graph.inputs):
        return None
    batched = with_batch(graph)
    rng = np.random.default_rng(seed)
    is_halved = batched is not None and runs_at_half_size(batched)
    distinct = _affordable(graph, count, steps, is_halved)
    chunk = 1 if batched is None else max(1, min(CHUNK, int(CHUNK_BYTES // max(1, _bytes(graph)))))
    frame = _fitted_frame(batched or graph, statistics, rng, chunk)
    objective = Objective(batched or graph, statistics)
    objective.measure_unit(frame.inputs(_noise(graph, rng, chunk, False)))
    made: dict[str, list[Array]] = {name: [] for name in graph.inputs}
    for start in range(0, distinct, chunk):
        size = min(chunk, distinct - start)
        targets = torch.from_numpy(rng.integers(0, objective.classes, size)) if objective.classes else None
        numbers = _descended(objective, frame, _noise(graph, rng, size, is_halved), targets, steps, graph, is_halved)
        for name, values in frame.inputs(numbers).items():
            made[name].extend(as_array(row[np.newaxis]) for row in values)
    return _as_samples(made, count)


def _descended(
    objective: Objective,
    frame: Standardized,
    numbers: dict[str, Tensor],
    targets: Tensor | None,
    steps: int,
    graph: Graph,
    is_halved: bool,
) -> dict[str, Tensor]:
    numbers = descend(objective, frame, numbers, targets=targets, steps=steps)
    if not is_halved:
        return numbers
    grown = {
        name: F.interpolate(values, size=graph.values[name].shape[2:], mode="bicubic")
        for name, values in numbers.items()
    }
    return descend(objective, frame, grown, targets=targets, steps=min(steps, FULL_SIZE_STEPS))


def _noise(graph: Graph, rng: np.random.Generator, count: int, is_halved: bool) -> dict[str, Tensor]:
    found = {}
    for name in graph.inputs:
        _, *rest = graph.values[name].shape
        if is_halved:
            rest[1:] = [side // 2 for side in rest[1:]]
        found[name] = torch.from_numpy(natural_noise(rng, (count, *rest)))
    return found


def _fitted_frame(
    graph: Graph, statistics: Sequence[BatchNormStatistics], rng: np.random.Generator, chunk: int
) -> Standardized:
    """Mean and deviation of the inputs, from the first BatchNorm that depends on them."""
    order = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs}
    first = min(statistics, key=lambda item: order.get(item.value, len(order)))
    frame = Standardized(graph)
    numbers = _noise(graph, rng, min(chunk, 4), False)
    frame.fit(Objective(graph, [first], classify=False), numbers)
    return frame


def _affordable(graph: Graph, count: int, steps: int, is_halved: bool) -> int:
    """How many distinct inputs to make; all of them when they cannot be mirrored."""
    if any(len(graph.values[name].shape) != 4 for name in graph.inputs):
        return count
    passes = steps / 4 + min(steps, FULL_SIZE_STEPS) if is_halved else float(steps)
    return int(min(count, max(CHUNK, BUDGET_MACS // max(1.0, passes * _macs(graph)))))


def _macs(graph: Graph) -> float:
    """Multiply-accumulates of one sample."""
    total = 0.0
    for node in graph.nodes:
        if node.op in ("Conv", "ConvTranspose", "Gemm"):
            weight, place = (
                graph.shape(node.inputs[1]),
                node.inputs[0] if node.op == "ConvTranspose" else node.outputs[0],
            )
            positions = graph.shape(place)[2:] if node.op != "Gemm" else graph.shape(place)[1:-1]
            total += math.prod(weight) * math.prod(positions)
    return total


def _bytes(graph: Graph) -> int:
    """Activations of one sample with what autograd keeps of them: three float32 copies, as measured on Lite0."""
    return 12 * sum(math.prod(value.shape) for value in graph.values.values())


def _as_samples(made: Mapping[str, Sequence[Array]], count: int) -> SampleSet:
    """`count` samples in memory; those beyond what was made are mirrored left to right."""
    distinct = len(next(iter(made.values())))

    def read(index: int) -> dict[str, Array]:
        turn, place = divmod(index, distinct)
        return {name: _mirrored(rows[place], turn) for name, rows in made.items()}

    return SampleSet(np.arange(count), read, "synthesized from BatchNorm statistics")


def _mirrored(image: Array, turn: int) -> Array:
    """Turn 0: as it is; 1: left-right; 2: up-down; 3: both; and again."""
    for bit, axis in ((1, -1), (2, -2)):
        image = np.flip(image, axis) if turn & bit else image
    return np.array(image, order="C")
