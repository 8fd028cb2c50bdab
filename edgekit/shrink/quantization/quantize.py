"""From float graph and observed ranges to the QuantizedGraph: the decisions, in order, each made once."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from edgekit.shrink.quantization.activations import choose_activations
from edgekit.shrink.quantization.bias import bias_params, mean_shift, shift_bias
from edgekit.shrink.quantization.constants import separate_roles, spare_islands
from edgekit.shrink.quantization.first_and_last import KEPT_RESULT, keeps_result
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.islands import float_islands
from edgekit.shrink.quantization.observe import LINEAR
from edgekit.shrink.quantization.ties import Ties, tie
from edgekit.shrink.quantization.weights import bias_floor, choose_weight, round_weight
from edgekit.types.graph import Graph, Node, QuantizedGraph
from edgekit.types.operators import Role, role
from edgekit.types.plan import Plan
from edgekit.types.qparams import Array, QParams

SMALLEST_MULTIPLIER = 2.0**-24
"""Kernels want s_in * s_w / s_out well above 2^-32 (XNNPACK qs8 setup); below this a channel is zero anyway."""


def quantize(
    graph: Graph,
    histograms: Mapping[str, Histogram],
    plan: Plan | None = None,
) -> QuantizedGraph:
    """Decide every scale, zero point and integer.

    1. Islands: which nodes stay float, and why; last layers may multiply int8 and keep their result in float.
    2. Ties: which values share a scale; Requantize is inserted where they cannot.
    3. Activations: asymmetric int8 from the observed ranges.
    4. Weights: as the plan has them, else per-channel symmetric int8, rounded to nearest; scales are widened for
       pair-safety and for biases that would overflow.
    5. Biases: int32; as the plan has them, else corrected for the mean error of step 4.

    Args:
        graph: Simplified float graph.
        histograms: What `observe` returned for it.
        plan: How to; None is the default plan.

    Returns:
        The QuantizedGraph every file is written from.
    """
    plan = plan or Plan()
    if plan.weight_only:
        return quantize_weights(graph, histograms=histograms if plan.correct_bias else {})
    return decide(lay_out(graph, plan), histograms, plan)


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Steps 1 and 2 of `quantize`: what is int8 and who shares a scale, whatever the ranges and weights are.

    Attributes:
        ties: The graph with Requantize nodes in place, and its tie groups.
        islands: node name -> why it computes in float.
    """

    ties: Ties
    islands: Mapping[str, str]

    @property
    def graph(self) -> Graph:
        """The graph that is quantized."""
        return self.ties.graph

    def with_constants(self, constants: Mapping[str, Array]) -> Layout:
        """The same layout with other float values of some constants, shapes unchanged."""
        graph = dataclasses.replace(self.graph, constants={**self.graph.constants, **constants})
        return dataclasses.replace(self, ties=dataclasses.replace(self.ties, graph=graph))


def lay_out(graph: Graph, plan: Plan) -> Layout:
    """Decide which nodes are int8 and which values share a scale; no number is needed for it.

    Args:
        graph: Simplified float graph.
        plan: Its float nodes and modules.
    """
    graph = separate_roles(graph)
    islands = float_islands(graph, float_modules=plan.float_modules, float_nodes=plan.float_nodes)
    return Layout(tie(spare_islands(graph, islands), islands), islands)


def decide(layout: Layout, histograms: Mapping[str, Histogram], plan: Plan) -> QuantizedGraph:
    """Steps 3 to 5 of `quantize`: every scale, zero point and integer of a layout.

    Args:
        layout: What `lay_out` returned, its constants possibly trained since.
        histograms: What `observe` returned; values that `plan.ranges` names need none, unless the plan corrects biases.
        plan: How to.
    """
    ties, islands = layout.ties, layout.islands
    qparams = choose_activations(ties, histograms, islands, plan)
    graph = ties.graph
    kept = {node.name: KEPT_RESULT for node in graph.nodes if _keeps_result(graph, node, islands, plan)}
    qparams = {name: params for name, params in qparams.items() if not _writes(graph, name, kept)}
    integers = {
        name: params.quantize(graph.constants[name]) for name, params in qparams.items() if name in graph.constants
    }
    table = _Table(graph, qparams, integers, plan)
    nodes = []
    for node in graph.nodes:
        if node.name in islands or not _has_weight(node):
            nodes.append(node)
        elif node.op in LINEAR:
            mean = histograms[_observed(ties.copies, node.inputs[0])].channel_mean if plan.correct_bias else None
            nodes.append(table.add_linear(node, mean))
        else:
            table.add_weight(node)
            nodes.append(node)
    graph = dataclasses.replace(graph, nodes=tuple(nodes), constants=table.constants)
    return QuantizedGraph(graph, table.qparams, table.integers, {**islands, **kept})


def quantize_weights(
    graph: Graph, *, reason: str = "weight-only int8", histograms: Mapping[str, Histogram] | None = None
) -> QuantizedGraph:
    """Weight-only int8: every node computes in float, weights and embedding tables are stored as int8.

    Needs no data. The file shrinks as with full int8; the arithmetic, and so the speed, stays that of float.

    Args:
        graph: Simplified float graph.
        reason: Why every node is a float island, for the report.
        histograms: What `observe` returned for it: where a layer's input has a mean per channel, the float bias takes
            out the mean error of the rounded weight, as in full int8.
    """
    graph = separate_roles(graph)
    table = _Table(graph, {}, {}, Plan(scheme="full"))
    nodes = []
    for node in graph.nodes:
        if node.op in LINEAR and node.inputs[1] in graph.constants:
            table.add_weight(node)
            seen = (histograms or {}).get(node.inputs[0])
            node = table.shift_float_bias(node, seen.channel_mean if seen else None)
        elif node.op == "Gather" and node.inputs[0] in graph.constants and graph.dtype(node.inputs[0]) == "float32":
            table.add_table(node.inputs[0])
        nodes.append(node)
    graph = dataclasses.replace(graph, nodes=tuple(nodes), constants=table.constants)
    islands = {
        node.name: reason
        for node in graph.nodes
        if any(graph.dtype(name) == "float32" for name in (*node.inputs, *node.outputs) if name)
    }
    return QuantizedGraph(graph, table.qparams, table.integers, islands)


def _keeps_result(graph: Graph, node: Node, islands: Mapping[str, str], plan: Plan) -> bool:
    return node.name in plan.float_results and node.name not in islands and keeps_result(graph, node)


def _writes(graph: Graph, name: str, nodes: Collection[str]) -> bool:
    return name in graph.producers and graph.producers[name].name in nodes


def _has_weight(node: Node) -> bool:
    return any(role(node.op, slot) is Role.WEIGHT for slot in range(len(node.inputs)))


def _observed(copies: Mapping[str, str], name: str) -> str:
    return copies.get(name, name)


class _Table:
    """The table under construction: weights and biases are added node by node."""

    def __init__(self, graph: Graph, qparams: dict[str, QParams], integers: dict[str, Array], plan: Plan) -> None:
        self.graph = graph
        self.qparams = qparams
        self.integers = integers
        self.constants = dict(graph.constants)
        self._plan = plan

    def add_weight(self, node: Node, floor: Array | None = None) -> None:
        """Choose the scale and integers of the node's weight, once however many nodes read it."""
        name = node.inputs[1]
        if name in self._plan.weights:
            self.qparams[name], self.integers[name] = self._plan.weights[name].params, self._plan.weights[name].integers
        elif name not in self.integers:
            weight = self.constants[name]
            plan = self._plan
            params = choose_weight(
                self.graph,
                node,
                weight,
                scheme=plan.scheme,
                floor=floor,
                limit=plan.weight_limit,
                per_channel=plan.per_channel,
            )
            self.qparams[name] = params
            self.integers[name] = round_weight(weight, params, limit=plan.weight_limit)

    def add_table(self, name: str) -> None:
        """int8 per-tensor integers of an embedding table, symmetric."""
        if name not in self.integers:
            table = self.constants[name]
            scale = np.asarray(max(float(np.abs(table).max()) / 127, 1e-8), np.float32)
            self.qparams[name] = QParams(scale, np.asarray(0, np.int32))
            self.integers[name] = self.qparams[name].quantize(table)

    def add_linear(self, node: Node, input_mean: Array | None) -> Node:
        """Weight and bias of one linear node; returns the node, with a bias input if it got one.

        A weight that several nodes share gets no correction: it would cost each of them a bias of its own.
        """
        weight = node.inputs[1]
        readers = self.graph.consumers[weight]
        self.add_weight(node, self._floor(readers))
        channels = self._channels(node)
        has_bias = len(node.inputs) > 2 and bool(node.inputs[2])
        bias = self.constants[node.inputs[2]].astype(np.float64) if has_bias else np.zeros(channels)
        name = node.inputs[2] if has_bias else f"{weight}.bias"
        planned = self._plan.biases.get(name) if has_bias or len(readers) == 1 else None
        corrects = input_mean is not None and len(readers) == 1 and planned is None
        if not has_bias and not corrects and planned is None:
            return node
        if planned is not None:
            bias = planned.astype(np.float64)
        elif corrects and input_mean is not None:
            bias = bias + self._mean_error(node, input_mean)
        if not has_bias:
            self.constants[name] = np.zeros(channels, np.float32)
            node = dataclasses.replace(node, inputs=(*node.inputs[:2], name))
        self.qparams[name] = bias_params(self.qparams[node.inputs[0]], self.qparams[weight], channels)
        self.integers[name] = self.qparams[name].quantize(bias)
        return node

    def shift_float_bias(self, node: Node, input_mean: Array | None) -> Node:
        """The node with its float bias corrected for its weight's mean error; shared weights as in `add_linear`."""
        if input_mean is None or len(self.graph.consumers[node.inputs[1]]) > 1:
            return node
        shifted = shift_bias(node, self._mean_error(node, input_mean), self.constants)
        if len(node.inputs) > 2 and node.inputs[2]:
            del self.constants[node.inputs[2]]  # no other node reads it: see separate_roles
        return shifted

    def _mean_error(self, node: Node, input_mean: Array) -> Array:
        """Expected output error per channel that rounding the node's weight makes."""
        weight = node.inputs[1]
        error = self.constants[weight] - self.qparams[weight].dequantize(self.integers[weight])
        return mean_shift(self.graph, node, error, input_mean)

    def _channels(self, node: Node) -> int:
        return self.graph.shape(node.outputs[0])[-1 if node.op == "Gemm" else 1]

    def _floor(self, readers: Sequence[Node]) -> Array:
        """Smallest scale per channel that every reader's bias and requantization can live with."""
        floors = []
        for node in readers:
            scale_in, result = float(self.qparams[node.inputs[0]].scale), self.qparams.get(node.outputs[0])
            bias = self.constants[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
            least = 0.0 if result is None else SMALLEST_MULTIPLIER * float(result.scale) / scale_in
            floors.append(np.maximum(bias_floor(bias, scale_in), least))
        width = self._channels(readers[0])
        largest: Array = np.max([np.broadcast_to(floor, (width,)) for floor in floors], axis=0)
        return largest
