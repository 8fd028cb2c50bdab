"""Puts the scales and integers of another tool on a graph: a QuantizedGraph that computes what the tool's file does.

Nothing is chosen here that the other tool chose. Where its file does something that int8 kernels cannot, the node stays
float between the same roundings, so that the integers remain those of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.shrink.quantization.constants import separate_roles
from edgekit.shrink.quantization.impose_constants import Constants, match_constants
from edgekit.shrink.quantization.impose_linear import Linear, impose_linear
from edgekit.shrink.quantization.impose_ties import ExactTies, moves_elements, spread_scales
from edgekit.shrink.quantization.observe import LINEAR
from edgekit.shrink.quantization.ties import float_activations
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.imported import Imported
from edgekit.types.operators import OPERATORS, Role, Rule, role
from edgekit.types.qparams import Array, QParams

NOT_IN_FILE = "not quantized in the file"


@dataclass(frozen=True, eq=False)
class Imposed:
    """A graph with the numbers of another tool.

    Attributes:
        quantized: What every file is written from.
        findings: What could not be taken over as it was.
    """

    quantized: QuantizedGraph
    findings: tuple[Finding, ...] = ()


def without_taps(graph: Graph, imported: Imported) -> tuple[Graph, Imported]:
    """The model itself: the results that were added to keep tensors by name are taken away again.

    Where simplification found that a kept tensor only is another value in another shape, that value takes the QParams.

    Args:
        graph: What simplification made of the float file of an import; any other graph comes back as it is.
        imported: Says which results the model has.
    """
    if graph.outputs == imported.outputs:
        return graph, imported
    needed, kept = set(imported.outputs), []
    activations = dict(imported.activations)
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
        elif moves_elements(node) and node.outputs[0] in activations:
            params = activations.pop(node.outputs[0])
            activations.setdefault(node.inputs[0], params)
    kept.reverse()
    named = {*graph.inputs, *(name for node in kept for name in node.outputs)}
    read = {name for node in kept for name in node.inputs}
    model = dataclasses.replace(
        graph,
        outputs=imported.outputs,
        nodes=tuple(_as_requantize(node, imported) for node in kept),
        values={name: value for name, value in graph.values.items() if name in named},
        constants={name: array for name, array in graph.constants.items() if name in read},
        batch_axes={name: axis for name, axis in graph.batch_axes.items() if name in named},
    )
    return model, dataclasses.replace(imported, activations=activations)


def impose(graph: Graph, imported: Imported, *, float_nodes: Mapping[str, str] | None = None) -> Imposed:
    """Decide every scale, zero point and integer as another tool did.

    1. Activations have the QParams of the file; data movement hands them on, which changes no value.
    2. A node is int8 when all its activations, and its weight, are quantized in the file and int8 kernels can do what
       the file does; a change of scale that the file makes in passing becomes a Requantize.
    3. Any other node is an island, with the reason; its borders are quantized as in the file.
    4. Weights keep scales and integers; those with zero points, which kernels do not take, are moved to the nearest
       symmetric ones, exactly where they fit. Biases are int32.

    Args:
        graph: Simplified; with or without the results added for the import.
        imported: What the other tool decided, by the names of this graph's values.
        float_nodes: node name -> why it computes in float all the same; values among them are not rounded then.
    """
    graph, imported = without_taps(graph, imported)
    constants = match_constants(graph, imported)
    graph = separate_roles(graph)
    constants = constants.extended(graph.constants)
    known = {name: params for name, params in imported.activations.items() if name in graph.values}
    floats = dict(float_nodes or {})
    spread = spread_scales(graph, known)
    qparams = {name: params for name, params in spread.items() if not _among(graph, name, floats)}
    return _Imposition(graph, qparams, constants, imported, floats).run()


def _among(graph: Graph, name: str, floats: Mapping[str, str]) -> bool:
    """Whether the nodes that write and read a value all are float ones."""
    writer = graph.producers.get(name)
    nodes = [*([writer] if writer else []), *graph.consumers.get(name, ())]
    return bool(floats) and bool(nodes) and all(node.name in floats for node in nodes)


class _Imposition:
    """The table under construction."""

    def __init__(
        self,
        graph: Graph,
        qparams: dict[str, QParams],
        constants: Constants,
        imported: Imported,
        floats: Mapping[str, str],
    ) -> None:
        self.graph = graph
        self.qparams = qparams
        self.integers: dict[str, Array] = {}
        self.islands: dict[str, str] = {}
        self.findings: list[Finding] = []
        self._constants = constants
        self._imported = imported
        self._floats = floats
        self._ties = ExactTies(graph, qparams)

    def run(self) -> Imposed:
        """Go through the nodes once."""
        nodes = [new for node in self.graph.nodes for new in self._node(node)]
        for copy, source in self._ties.copies.items():
            self.qparams[copy] = self._ties.params[copy]
            self.graph = _with_value(self.graph, copy, source)
        graph = dataclasses.replace(self.graph, nodes=tuple(nodes))
        self._missing()
        return Imposed(QuantizedGraph(graph, self.qparams, self.integers, self.islands), tuple(self.findings))

    def _node(self, node: Node) -> list[Node]:
        if not float_activations(self.graph, node):
            return [node]
        reason = self._reason(node)
        if not reason and node.op in LINEAR:
            linear = impose_linear(self.graph, node, self.qparams, self._constants)
            reason = linear if isinstance(linear, str) else self._add_linear(node, linear)
        if reason:
            self.islands[node.name] = reason
            self._island_weight(node)
            return [node]
        self._add_operands(node)
        return self._ties.resolve(node)

    def _reason(self, node: Node) -> str:
        """Why the node computes in float; "" when it does not (its weight apart)."""
        rule = OPERATORS[node.op].rule
        if node.name in self._floats:
            return self._floats[node.name]
        if rule is Rule.FLOAT:
            return f"{node.op} has no int8 kernel in either runtime"
        for name in float_activations(self.graph, node):
            if name in self.graph.constants:
                if self._constants.operand(name) is None:
                    return NOT_IN_FILE
            elif name not in self.qparams:
                return NOT_IN_FILE
        for slot, name in enumerate(node.inputs):
            is_weight = bool(name) and role(node.op, slot) is Role.WEIGHT
            if is_weight and (name not in self.graph.constants or self._constants.find(name) is None):
                return f"its weight is {NOT_IN_FILE}"
        return self._ties.obstacle(node)

    def _add_linear(self, node: Node, linear: Linear) -> str:
        weight = node.inputs[1]
        known = self.integers.get(weight)
        if known is not None and not (known == linear.integers).all():
            return "it shares a weight whose integers differ between its layers"
        self.qparams[weight], self.integers[weight] = linear.params, linear.integers
        if linear.bias_params is not None and linear.bias is not None:
            self.qparams[node.inputs[2]], self.integers[node.inputs[2]] = linear.bias_params, linear.bias
        self.findings += linear.findings
        return ""

    def _add_operands(self, node: Node) -> None:
        """Constants that an int8 node reads as activations, and the slope of a PRelu."""
        for slot, name in enumerate(node.inputs):
            if name not in self.graph.constants or name in self.integers:
                continue
            kind = role(node.op, slot)
            stored = None
            if kind is Role.ACTIVATION and self.graph.dtype(name) == "float32":
                stored = self._ties.constant(node, self._constants.operand(name))
            elif kind is Role.WEIGHT and node.op not in LINEAR:
                stored = self._constants.symmetric(name, axis=None)
            if stored is not None:
                self.qparams[name], self.integers[name] = stored.params, stored.integers

    def _island_weight(self, node: Node) -> None:
        """int8 weights that the file stores stay stored as int8, also where a node computes in float."""
        if node.op not in LINEAR or node.inputs[1] in self.integers or node.name in self._floats:
            return
        linear = self._constants.weight(self.graph, node)
        if linear is not None and linear.is_exact:
            self.qparams[node.inputs[1]], self.integers[node.inputs[1]] = linear.params, linear.integers

    def _missing(self) -> None:
        lost = [name for name in self._imported.activations if name not in self.graph.values]
        if lost:
            self.findings.append(
                Finding(
                    "imported-scale-unused",
                    f"{len(lost)} of {len(self._imported.activations)} imported activation scales have no place in the "
                    f"simplified graph: {', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}",
                    Severity.NOTE,
                )
            )


def _as_requantize(node: Node, imported: Imported) -> Node:
    if node.op == "Max" and node.outputs[0] in imported.requantized and node.inputs[0] == node.inputs[1]:
        return dataclasses.replace(node, op="Requantize", inputs=node.inputs[:1], attributes={})
    return node


def _with_value(graph: Graph, copy: str, source: str) -> Graph:
    axes = dict(graph.batch_axes)
    if source in axes:
        axes[copy] = axes[source]
    values = {**graph.values, copy: Value(copy, graph.shape(source))}
    return dataclasses.replace(graph, values=values, batch_axes=axes)
