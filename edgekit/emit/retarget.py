"""Rewrites of the table for hardware that wants other integer types, static shapes or fewer conversions."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.emit.channels_last import anchor
from edgekit.types.graph import Node, QuantizedGraph
from edgekit.types.operators import OPERATORS, Role, Rule, role
from edgekit.types.qparams import QParams


def to_uint8(quantized: QuantizedGraph) -> QuantizedGraph:
    """int8 activations as uint8 (zero point and integers + 128), weights and biases as they are. Lossless.

    x86 kernels multiply unsigned by signed bytes; ONNX Runtime turns int8 activations into uint8 itself only where
    a value has a single reader (qdq_s8_to_u8.cc), and leaves the other layers in float.

    Law: dequantizing any value gives the same real before and after.
    """
    kept = _weights(quantized)
    qparams, integers = dict(quantized.qparams), dict(quantized.integers)
    for name, params in quantized.qparams.items():
        if params.dtype != "int8" or name in kept:
            continue
        qparams[name] = QParams(params.scale, params.zero_point + 128, "uint8", params.axis)
        if name in integers:
            integers[name] = (integers[name].astype(np.int16) + 128).astype(np.uint8)
    return dataclasses.replace(quantized, qparams=qparams, integers=integers)


def to_x86(quantized: QuantizedGraph) -> QuantizedGraph:
    """As ONNX Runtime is fast on x86: `to_uint8`, and convolutions channels-last (`channels_last.anchor`). Lossless."""
    return anchor(to_uint8(quantized))


def _weights(quantized: QuantizedGraph) -> set[str]:
    """Constants read as weights or biases; constant operands of Add, Concat and the like are activations."""
    return {
        name
        for node in quantized.graph.nodes
        for slot, name in enumerate(node.inputs)
        if name in quantized.integers and role(node.op, slot) in (Role.WEIGHT, Role.BIAS)
    }


def to_uint8_weights(quantized: QuantizedGraph) -> QuantizedGraph:
    """uint8 activations and uint8 weights with zero point 128, whose kernels do not saturate. Lossless."""
    signed = to_x86(quantized)
    qparams, integers = dict(signed.qparams), dict(signed.integers)
    for node in signed.graph.nodes:
        name = node.inputs[1] if node.op in ("Conv", "Gemm") else ""
        if name not in integers or qparams[name].dtype != "int8" or node.name in signed.islands:
            continue
        params = qparams[name]
        qparams[name] = QParams(params.scale, params.zero_point + 128, "uint8", params.axis)
        integers[name] = (integers[name].astype(np.int16) + 128).astype(np.uint8)
    return dataclasses.replace(signed, qparams=qparams, integers=integers)


def to_static_uint8(quantized: QuantizedGraph) -> QuantizedGraph:
    """uint8 activations, and the batch fixed to 1: NPU compilers take static shapes only."""
    graph = dataclasses.replace(quantized.graph, batch_axes={})
    return to_uint8(dataclasses.replace(quantized, graph=graph))


def to_explicit(quantized: QuantizedGraph) -> QuantizedGraph:
    """As TensorRT wants explicit quantization, from a table with zero points 0.

    Only what a layer computes on integers keeps its integers: inputs and weights of weighted layers, inputs of pools,
    and the residual input of an Add whose other input a layer writes directly. So nothing stands between a layer and
    its activation, and nothing behind the last layer. Biases become float constants, with their correction.

    Source: TensorRT developer guide, "Explicit quantization", Q/DQ placement recommendations.

    Returns:
        A table for writing alone: its int8 nodes need not have integers on every side.
    """
    graph = quantized.graph
    wanted = _read_as_integers(quantized)
    constants, qparams, integers = dict(graph.constants), dict(quantized.qparams), dict(quantized.integers)
    for name, params in quantized.qparams.items():
        if name in wanted:
            continue
        del qparams[name]
        stored = integers.pop(name, None)
        if stored is not None and params.dtype == "int32":
            constants[name] = params.dequantize(stored)
    graph = dataclasses.replace(graph, constants=constants)
    return dataclasses.replace(quantized, graph=graph, qparams=qparams, integers=integers)


_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_POOLS = ("GlobalAveragePool", "AveragePool")


def _read_as_integers(quantized: QuantizedGraph) -> set[str]:
    """Values and weights whose integers some node works on; walked from the outputs, through movement operators."""
    wanted: set[str] = set()
    for node in reversed(quantized.graph.nodes):
        if quantized.multiplies_integers(node) and not quantized.is_int8(node):
            wanted.update(node.inputs[:2])
        elif not quantized.is_int8(node):
            wanted.update(name for name in node.inputs if name in quantized.integers)
        elif node.op in _WEIGHTED:
            wanted.update(node.inputs[:2])
        elif node.op in _POOLS:
            wanted.add(node.inputs[0])
        elif node.op == "Add":
            wanted.update(_residual(quantized, node))
        elif (OPERATORS[node.op].rule is Rule.TIED or node.op == "Requantize") and wanted.intersection(node.outputs):
            wanted.update(name for name in node.inputs if name not in quantized.graph.constants)
    return wanted


def _residual(quantized: QuantizedGraph, node: Node) -> list[str]:
    """The inputs of an Add that are not the result of a layer which can absorb the Add."""
    graph = quantized.graph
    direct = [
        name
        for name in node.inputs
        if name in graph.producers and graph.producers[name].op in _WEIGHTED and len(graph.consumers[name]) == 1
    ]
    rest = [name for name in node.inputs if name not in direct[:1] and name not in graph.constants]
    return rest if direct else []
