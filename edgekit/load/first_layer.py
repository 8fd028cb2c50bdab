"""What the first layer of a model expects of its input, and what it sees of given data.

The first Conv or Gemm followed by a BatchNorm is a measuring instrument: the BatchNorm remembers mean and variance of
the layer's output on the training data. The same two numbers follow for any data from the mean and covariance of the
input patches the layer looks at, `E[y] = W E[p] + b` and `Var[y] = w' Cov[p] w`, and so do those of the data under
another normalisation, which only scales and shifts the patches. So one pass over the data answers both whether its
normalisation fits and which one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

MAX_PATCH = 1024
"""Numbers in a patch (input channels x kernel): beyond it the covariance is too large to be worth it."""
PATCHES_PER_SAMPLE = 512
_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The first linear layer behind a model input, with the statistics of its output in training.

    Attributes:
        label: What a report calls it.
        prefix: Nodes between the input and the layer (a transposition, a built-in normalisation), with constants.
        constants: Those of the prefix.
        weight: float32 (O, K), K = input channels x kernel positions, channel slowest.
        bias: float32 (O,).
        kernel: Kernel shape; () for a Gemm.
        dilations: One per kernel axis.
        mean: float32 (O,), expected of the output.
        variance: float32 (O,).
    """

    label: str
    prefix: tuple[Node, ...]
    constants: Mapping[str, Array]
    weight: Array
    bias: Array
    kernel: tuple[int, ...]
    dilations: tuple[int, ...]
    mean: Array
    variance: Array

    def entry(self, sample: Array) -> Array:
        """What the layer itself reads when the model's input is `sample`."""
        for node in self.prefix:
            sample = _apply(node, sample, self.constants)
        return sample


def first_layers(graph: Graph, statistics: Sequence[BatchNormStatistics]) -> dict[str, FirstLayer]:
    """Find the first layer behind each input of a graph, where a BatchNorm tells what it expects.

    Between input and layer there may be transpositions and arithmetic with constants. Grouped convolutions and patches
    of more than `MAX_PATCH` numbers are left out.

    Args:
        graph: A float graph, BatchNorms folded.
        statistics: Of its values.

    Returns:
        input name -> its first layer; inputs without one are absent.
    """
    known = {item.value: item for item in statistics}
    found = {}
    for name in graph.inputs:
        prefix, node = _follow(graph, name)
        if node is None or node.outputs[0] not in known or node.inputs[1] not in graph.constants:
            continue
        weight = np.asarray(graph.constants[node.inputs[1]], np.float32)
        if int(node.attributes.get("group", 1)) != 1 or math.prod(weight.shape[1:]) > MAX_PATCH:
            continue
        bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        kernel = tuple(weight.shape[2:])
        expected = known[node.outputs[0]]
        found[name] = FirstLayer(
            node.label,
            prefix,
            {key: graph.constants[key] for item in prefix for key in item.inputs if key in graph.constants},
            weight.reshape(len(weight), -1),
            np.zeros(len(weight), np.float32) if bias is None else np.asarray(bias, np.float32).reshape(-1),
            kernel,
            tuple(node.attributes.get("dilations", (1,) * len(kernel))),
            np.asarray(expected.mean, np.float32),
            np.asarray(expected.variance, np.float32),
        )
    return found


def _follow(graph: Graph, name: str) -> tuple[tuple[Node, ...], Node | None]:
    """Nodes from a value to the Conv or Gemm that is its only reader down the line, and that layer."""
    prefix: list[Node] = []
    while True:
        readers = graph.consumers.get(name, ())
        if len(readers) != 1:
            return (), None
        node = readers[0]
        if node.op in ("Conv", "Gemm"):
            return tuple(prefix), node
        others = [item for item in node.inputs if item != name]
        is_arithmetic = node.op in _ARITHMETIC and all(item in graph.constants for item in others)
        if not (is_arithmetic or node.op == "Transpose") or node.clamp is not None:
            return (), None
        prefix.append(node)
        name = node.outputs[0]


def _apply(node: Node, value: Array, constants: Mapping[str, Array]) -> Array:
    if node.op == "Transpose":
        moved: Array = value.transpose(node.attributes["perm"])
        return moved
    operands = [constants.get(name, value) for name in node.inputs]
    result: Array = _ARITHMETIC[node.op](*operands).astype(np.float32)
    return result


class PatchMoments:
    """Mean and covariance of the patches that a first layer looks at.

    Padding is left out: only whole patches inside the sample count, and of those a regular choice of at most
    `PATCHES_PER_SAMPLE`.
    """

    def __init__(self, layer: FirstLayer) -> None:
        """Start empty for `layer`."""
        self.layer = layer
        size = layer.weight.shape[1]
        self.count = 0
        self._sum = np.zeros(size)
        self._products = np.zeros((size, size))

    def update(self, sample: Array) -> None:
        """Add a sample of the model's input."""
        patches = _patches(self.layer.entry(sample), self.layer.kernel, self.layer.dilations)
        self.count += len(patches)
        self._sum += patches.sum(axis=0, dtype=np.float64)
        self._products += patches.T @ patches

    def output(self, scale: Array | None = None, shift: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of the layer's output, (O,) each, when patches become `scale * patch + shift`.

        Args:
            scale: (K,) per patch element, or None for 1.
            shift: (K,), or None for 0.
        """
        mean = self._sum / max(self.count, 1)
        covariance = self._products / max(self.count, 1) - np.outer(mean, mean)
        weight = self.layer.weight.astype(np.float64)
        if shift is not None and scale is not None:
            offset = weight @ shift
            weight = weight * scale
        else:
            offset = np.zeros(len(weight))
        variance = np.einsum("ok,kl,ol->o", weight, covariance, weight, optimize=True)
        return weight @ mean + offset + self.layer.bias, np.maximum(variance, 0.0)


def _patches(array: Array, kernel: tuple[int, ...], dilations: tuple[int, ...]) -> Array:
    """Patches of (1, C, *spatial) or rows of (..., K), as (P, K) float32."""
    if not kernel:
        rows: Array = array.reshape(-1, array.shape[-1])
        return rows[:: max(1, len(rows) // PATCHES_PER_SAMPLE)]
    spans = [(side - 1) * step + 1 for side, step in zip(kernel, dilations, strict=True)]
    if any(span > side for span, side in zip(spans, array.shape[2:], strict=True)):
        return np.zeros((0, array.shape[1] * math.prod(kernel)), np.float32)
    axes = tuple(range(1, 1 + len(kernel)))
    windows = np.lib.stride_tricks.sliding_window_view(array[0], tuple(spans), axis=axes)
    places = math.prod(windows.shape[1 : 1 + len(kernel)])
    stride = max(1, math.ceil((places / PATCHES_PER_SAMPLE) ** (1 / len(kernel))))
    thinned = (slice(None), *[slice(stride // 2, None, stride)] * len(kernel))
    dilated = tuple(slice(None, None, step) for step in dilations)
    chosen = windows[(*thinned, *dilated)]
    order = (*axes, 0, *range(1 + len(kernel), 1 + 2 * len(kernel)))
    return np.ascontiguousarray(chosen.transpose(order)).reshape(-1, array.shape[1] * math.prod(kernel))
