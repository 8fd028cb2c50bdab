"""Case: a one-node QuantizedGraph with feeds, and the builder that quantizes it as a real network would be.

Why: an exporter is right when every operator, alone, says in its runtime what the reference says. A case has scales
of the size calibration gives: activations from the range of their data, weights as the pipeline chooses them (per
channel, +-127, pair-safe, so that kernels which add products in 16 bits are exact), biases int32 at s_in * s_w,
results from the range of the float result, and the tied and fixed scales of the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.shrink.quantization.weights import choose_weight, round_weight
from edgekit.types.graph import Graph, Node, QuantizedGraph, Value
from edgekit.types.operators import OPERATORS, Role, Rule, role
from edgekit.types.qparams import Array, QParams, choose_activation

FIXED = {
    Rule.UNIT: QParams(np.asarray(1 / 256), np.asarray(-128)),
    Rule.SYMMETRIC_UNIT: QParams(np.asarray(1 / 128), np.asarray(0)),
}
"""Rule -> the QParams it prescribes."""


@dataclass(frozen=True, eq=False)
class Case:
    """One operator to run everywhere.

    Attributes:
        label: Operator, attributes and shapes, for messages.
        quantized: A graph of one node.
        feeds: input name -> array; floats lie on the grid of their QParams, so no runtime can round them differently.
    """

    label: str
    quantized: QuantizedGraph
    feeds: Mapping[str, Array]

    @property
    def op(self) -> str:
        """The operator."""
        return self.quantized.graph.nodes[0].op

    def __repr__(self) -> str:
        return f"Case({self.label})"


@dataclass(frozen=True)
class Setup:
    """How the node of a case is set up, beside its operands.

    Attributes:
        attributes: Of the node.
        clamp: Of the node.
        constants: Slots of activations that are constants in the file.
        outputs: How many results the node has.
        island: Compute in float; weights stay int8 (weight-only quantization).
        borders: Whether inputs and results of an island have QParams.
        batched: Whether axis 0 of every run-time tensor scales with the batch.
        widen: Range of free results over the range of the data; below 1 they saturate.
        wide: Give a clamped result the range it would have without the clamp, so that saturation does not do its work.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    clamp: tuple[float, float] | None = None
    constants: frozenset[int] = frozenset()
    outputs: int = 1
    island: bool = False
    borders: bool = False
    batched: bool = True
    widen: float = 1.0
    wide: bool = False


def activation(rng: np.random.Generator, shape: Sequence[int], *, spread: float | None = None) -> Array:
    """float32 data as layers produce it: centred, one-sided or shifted, at a scale between 0.1 and 10.

    Args:
        rng: Source of randomness.
        shape: Of the result.
        spread: Fixes the scale.
    """
    size = spread if spread is not None else float(np.exp(rng.uniform(np.log(0.1), np.log(10))))
    data = rng.normal(size=tuple(shape))
    kind = rng.integers(3)
    if kind == 1:
        data = np.abs(data)
    elif kind == 2:
        data = rng.uniform(-0.3, 1.0, size=tuple(shape))
    return np.asarray(data * size, np.float32)


def build_case(op: str, operands: Sequence[Array], *, setup: Setup | None = None) -> Case:
    """Quantize one operator over the given data.

    Args:
        op: Operator of the dialect.
        operands: Data per input slot: float32 for activations, weights, biases and parameters; integer for indices.
            Which of them are constants follows from the dialect, and from `setup.constants` for activations.
        setup: Attributes and the rest.
    """
    setup = setup or Setup(attributes=dict.fromkeys(OPERATORS[op].attributes, 0))
    names = [f"{'c' if _is_constant(op, slot, setup) else 'x'}{slot}" for slot in range(len(operands))]
    outputs = tuple(f"y{index}" for index in range(setup.outputs))
    node = Node(f"the_{op.lower()}", op, tuple(names), outputs, setup.attributes, "block.layer", setup.clamp)
    quantizes = not setup.island or setup.borders
    qparams, integers = _operand_qparams(node, operands, names, setup)
    feeds, constants = {}, {}
    for name, data in zip(names, operands, strict=True):
        if name.startswith("c"):
            constants[name] = data
        else:
            feeds[name] = qparams[name].dequantize(qparams[name].quantize(data)) if name in qparams else data
    floats = {**constants, **_dequantized(qparams, integers)}
    results = _float_results(node, feeds, floats)
    values = {name: Value(name, array.shape, str(array.dtype)) for name, array in (*feeds.items(), *results.items())}
    if quantizes:
        seen = _float_results(replace(node, clamp=None), feeds, floats) if setup.wide else results
        qparams.update(_result_qparams(node, seen, qparams, setup.widen))
    batch_axes = dict.fromkeys(values, 0) if setup.batched else {}
    graph = Graph(f"one_{op.lower()}", tuple(feeds), outputs, (node,), values, constants, batch_axes)
    islands = {node.name: "asked for"} if setup.island else {}
    return Case(_label(node, graph, setup), QuantizedGraph(graph, qparams, integers, islands), feeds)


def _is_constant(op: str, slot: int, setup: Setup) -> bool:
    return slot in setup.constants or role(op, slot) in (Role.WEIGHT, Role.BIAS, Role.PARAMETER)


def _operand_qparams(
    node: Node, operands: Sequence[Array], names: Sequence[str], setup: Setup
) -> tuple[dict[str, QParams], dict[str, Array]]:
    """QParams of every operand that has them, and the integers of the constants among those."""
    qparams: dict[str, QParams] = {}
    integers: dict[str, Array] = {}
    for slot, (name, data) in enumerate(zip(names, operands, strict=True)):
        kind = role(node.op, slot)
        if kind is Role.WEIGHT:
            qparams[name] = choose_weight(_constants_graph(node, names, operands), node, data, scheme="pair-safe")
            integers[name] = round_weight(data, qparams[name])
        elif kind is Role.BIAS and not setup.island:
            qparams[name] = _bias_qparams(qparams[names[0]], qparams[names[1]], data.size)
            integers[name] = qparams[name].quantize(data)
        elif kind is Role.ACTIVATION and data.dtype == np.float32 and _is_quantized(name, setup):
            qparams[name] = _range_qparams(_ranged(node, operands, slot, is_constant=name.startswith("c")))
            if name.startswith("c"):
                integers[name] = qparams[name].quantize(data)
    return qparams, integers


def _is_quantized(name: str, setup: Setup) -> bool:
    """Whether an activation has QParams: an island reads its constants in float, others only behind int8 borders."""
    return not setup.island or (setup.borders and not name.startswith("c"))


def _ranged(node: Node, operands: Sequence[Array], slot: int, *, is_constant: bool) -> Sequence[Array]:
    """Whose range an activation is quantized with.

    Its own; that of all parts of a Concat; for a constant matrix twice its own on both sides (7-bit integers, since
    kernels pack it and add pairs of products in 16 bits).
    """
    if node.op == "Concat":
        return operands
    data = operands[slot]
    return (2 * data, -2 * data) if node.op == "MatMul" and is_constant else (data,)


def _constants_graph(node: Node, names: Sequence[str], operands: Sequence[Array]) -> Graph:
    """Enough of a graph to read the geometry of the weight from."""
    return Graph(node.op, (), (), (node,), {}, dict(zip(names, operands, strict=True)))


def _bias_qparams(source: QParams, weight: QParams, channels: int) -> QParams:
    """int32 at s_in * s_w, one per channel."""
    scale = np.broadcast_to(source.scale * weight.scale, (channels,))
    return QParams(scale, np.zeros(channels), "int32", 0)


def _range_qparams(arrays: Sequence[Array]) -> QParams:
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    return choose_activation(low, high if max(high, -low) > 1e-3 else 1.0)


def _dequantized(qparams: Mapping[str, QParams], integers: Mapping[str, Array]) -> dict[str, Array]:
    return {name: qparams[name].dequantize(array) for name, array in integers.items()}


def _float_results(node: Node, feeds: Mapping[str, Array], constants: Mapping[str, Array]) -> dict[str, Array]:
    """The node on floats; shapes and types of its results are read off what comes out."""
    values = {name: Value(name, array.shape, str(array.dtype)) for name, array in feeds.items()}
    dtype = {"ArgMax": "int64", "Cast": node.attributes.get("to")}.get(node.op) or _floating(feeds, constants)
    values.update({name: Value(name, (), dtype) for name in node.outputs})
    graph = Graph(node.op, tuple(feeds), node.outputs, (node,), values, constants)
    return ReferenceSession(as_float(graph)).run(feeds)


def _floating(feeds: Mapping[str, Array], constants: Mapping[str, Array]) -> str:
    """float32 as soon as any operand is; else the integer type of the operands."""
    dtypes = [str(array.dtype) for array in (*feeds.values(), *constants.values())]
    return "float32" if "float32" in dtypes else dtypes[0]


def _result_qparams(
    node: Node, results: Mapping[str, Array], qparams: Mapping[str, QParams], widen: float
) -> dict[str, QParams]:
    """QParams of the float32 results, by the rule of the operator."""
    rule = OPERATORS[node.op].rule
    found = {}
    for name, array in results.items():
        if array.dtype != np.float32:
            continue
        if rule is Rule.TIED and node.inputs[0] in qparams:
            found[name] = qparams[node.inputs[0]]
        else:
            found[name] = FIXED.get(rule) or _range_qparams([array * np.float32(widen)])
    return found


def _label(node: Node, graph: Graph, setup: Setup) -> str:
    shapes = " ".join(f"{name}{list(graph.shape(name))}" for name in (*node.inputs, *node.outputs))
    attributes = " ".join(f"{key}={value}" for key, value in node.attributes.items())
    extra = f" clamp={node.clamp}" * (node.clamp is not None) + " wide" * setup.wide + " island" * setup.island
    return f"{node.op} {shapes} {attributes}{extra}"
