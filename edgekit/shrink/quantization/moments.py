"""Second moments of what each linear layer multiplies, streamed over samples in constant memory.

Rounding one weight well needs to know which errors cancel: the expected squared output error of a layer is e^T H e
with H = E[x x^T] over the columns x it multiplies (the im2col columns of a convolution). H is gathered by running the
float model once. Neighbouring positions of a map say nearly the same, so a seeded few of each sample are enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgekit.shrink.quantization.observe import LINEAR
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.qparams import Array

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""sample -> value name -> float32 array."""

VECTORS = 4.0
"""Columns gathered per entry of a column: enough for a well-conditioned moment matrix."""
LEAST_POSITIONS = 16
"""Positions of each sample that are looked at, however few would do."""
LIMIT_BYTES = 256_000_000
"""Moments held at a time; layers beyond it wait for another pass over the samples."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What a linear layer's columns x are like, K in the weight's own row order.

    Attributes:
        second: float64 (groups, K, K), E[x x^T].
        mean: float64 (groups, K), E[x].
    """

    second: Array
    mean: Array

    @property
    def covariance(self) -> Array:
        """float64 (groups, K, K): the second moments once a bias takes the mean error out."""
        centred: Array = self.second - self.mean[:, :, None] * self.mean[:, None, :]
        return centred


@dataclass(frozen=True, eq=False)
class Layer:
    """A quantized weight and the nodes that multiply by it (more than one in an unrolled recurrence)."""

    weight: str
    nodes: tuple[Node, ...]


def linear_layers(quantized: QuantizedGraph) -> tuple[Layer, ...]:
    """Every int8 weight of a linear node that multiplies integers, in the order they are first used."""
    found: dict[str, list[Node]] = {}
    for node in quantized.graph.nodes:
        if node.op not in LINEAR or node.inputs[1] not in quantized.integers:
            continue
        if quantized.is_int8(node) or quantized.multiplies_integers(node):
            found.setdefault(node.inputs[1], []).append(node)
    return tuple(Layer(weight, tuple(nodes)) for weight, nodes in found.items())


def float_source(graph: Graph, name: str) -> str:
    """The value itself, or the one a Requantize reads: in float that node is the identity."""
    while name in graph.producers and graph.producers[name].op == "Requantize":
        name = graph.producers[name].inputs[0]
    return name


def as_rows(graph: Graph, node: Node, weight: Array) -> Array:
    """The weight as (groups, outputs per group, K), K = (input channel, kernel position) with the kernel innermost."""
    if node.op == "Gemm":
        return weight[None]
    groups = node.attributes["group"]
    if node.op == "Conv":
        return weight.reshape(groups, weight.shape[0] // groups, -1)
    split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return split.transpose(0, 2, 1, 3).reshape(groups, weight.shape[1], -1)


def from_rows(graph: Graph, node: Node, rows: Array) -> Array:
    """The inverse of `as_rows`."""
    shape = graph.shape(node.inputs[1])
    if node.op != "ConvTranspose":
        return rows.reshape(shape)
    split = rows.reshape(rows.shape[0], rows.shape[1], shape[0] // rows.shape[0], -1)
    return split.transpose(0, 2, 1, 3).reshape(shape)


def gather(
    graph: Graph,
    layers: Sequence[Layer],
    run: Run,
    samples: Iterable[Mapping[str, Array]],
    *,
    count: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[Layer, Moments]]:
    """Moments of each layer's input columns, as many layers at a time as `LIMIT_BYTES` allows.

    Args:
        graph: Gives the geometry.
        layers: Which weights.
        run: The float model; it returns every value the layers read.
        samples: Model inputs, walked once per group of layers.
        count: How many samples there are.
        seed: Of the positions looked at.
        advance: Called with 1 after each sample.

    Yields:
        Each layer with its moments; the moments of one group are in memory at a time.
    """
    for group in _groups(graph, layers):
        sums = {layer.weight: [_Sum(graph, node, count) for node in layer.nodes] for layer in group}
        rng = np.random.default_rng(seed)
        for sample in samples:
            values = {**sample, **run(sample)}
            for layer in group:
                for node, total in zip(layer.nodes, sums[layer.weight], strict=True):
                    total.add(values[float_source(graph, node.inputs[0])], rng)
            advance(1)
        for layer in group:
            yield layer, _mean_of(sums.pop(layer.weight))


def _groups(graph: Graph, layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    group: list[Layer] = []
    total = 0
    for layer in layers:
        groups, _, depth = as_rows(graph, layer.nodes[0], np.empty(graph.shape(layer.weight), np.int8)).shape
        size = 4 * groups * depth * depth * len(layer.nodes)
        if group and total + size > LIMIT_BYTES:
            yield group
            group, total = [], 0
        group.append(layer)
        total += size
    if group:
        yield group


class _Sum:
    """Running sums over the columns of one node."""

    def __init__(self, graph: Graph, node: Node, samples: int) -> None:
        self.columns = Columns(graph, node)
        depth = self.columns.depth
        self.positions = max(LEAST_POSITIONS, math.ceil(VECTORS * depth / max(samples, 1)))
        self.second: Array = np.zeros((self.columns.groups, depth, depth), np.float32)
        self.first: Array = np.zeros((self.columns.groups, depth), np.float64)
        self.count = 0

    def add(self, values: Array, rng: np.random.Generator) -> None:
        found = self.columns.read(values, self.columns.choose(self.positions, rng))
        self.second += np.matmul(found, found.transpose(0, 2, 1))
        self.first += found.sum(axis=2)
        self.count += found.shape[2]


def _mean_of(sums: Sequence[_Sum]) -> Moments:
    count = max(1, sum(total.count for total in sums))
    second: Array = np.stack([total.second for total in sums]).sum(axis=0, dtype=np.float64)
    first: Array = np.stack([total.first for total in sums]).sum(axis=0)
    return Moments(second / count, first / count)


class Columns:
    """The columns that one linear node multiplies: which input element each entry is, at each output position."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self._node = node
        self._input, self._output = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
        kernel = () if node.op == "Gemm" else graph.shape(node.inputs[1])[2:]
        self._kernel = tuple(int(size) for size in kernel)
        self.groups = 1 if node.op == "Gemm" else int(node.attributes["group"])
        channels = self._input[-1] if node.op == "Gemm" else self._input[1]
        self.depth = channels // self.groups * math.prod(self._kernel)
        self._grid = self._output[:-1] if node.op == "Gemm" else (self._output[0], *self._output[2:])

    def choose(self, most: int, rng: np.random.Generator) -> Array:
        """int64 output positions, all of them or `most` drawn without replacement."""
        total = math.prod(self._grid)
        if total <= most:
            return np.arange(total)
        drawn: Array = np.sort(rng.choice(total, most, replace=False, shuffle=False))
        return drawn

    def read(self, values: Array, positions: Array) -> Array:
        """float32 (groups, K, positions): the columns at these output positions; padding is zero."""
        if self._node.op == "Gemm":
            return np.ascontiguousarray(values.reshape(-1, self.depth)[positions].T)[None]
        index, inside = self._reads(positions)
        by_channel = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
        found = by_channel[:, index]
        if not inside.all():
            found *= inside
        return found.reshape(self.groups, self.depth, positions.size)

    def _reads(self, positions: Array) -> tuple[Array, Array]:
        """(taps, positions) flat index into (batch, *spatial) that each tap reads, and whether it is inside."""
        batch, *outputs = np.unravel_index(positions, self._grid)
        sizes = self._input[2:]
        index: Array = np.zeros((math.prod(self._kernel), positions.size), np.int64) + batch
        inside: Array = np.ones(index.shape, bool)
        for axis, (size, output) in enumerate(zip(sizes, outputs, strict=True)):
            taps = np.array([tap[axis] for tap in product(*map(range, self._kernel))])[:, None]
            read, valid = self._along(axis, output[None, :], taps)
            valid = valid & (read >= 0) & (read < size)
            index = index * size + np.where(valid, read, 0)
            inside &= valid
        return index, inside

    def _along(self, axis: int, output: Array, tap: Array) -> tuple[Array, Array]:
        """Input coordinate that a tap reads for an output coordinate, and whether there is one."""
        attributes = self._node.attributes
        stride, begin = attributes["strides"][axis], attributes["pads"][axis]
        reach = tap * attributes["dilations"][axis]
        if self._node.op == "Conv":
            read = output * stride - begin + reach
            return read, np.ones(read.shape, bool)
        scaled = output + begin - reach  # ONNX ConvTranspose: output = input * stride + tap * dilation - begin
        return scaled // stride, scaled % stride == 0
