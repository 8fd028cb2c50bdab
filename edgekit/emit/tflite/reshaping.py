"""Reshape and Transpose: mostly bookkeeping, now and then one TRANSPOSE."""

from __future__ import annotations

from dataclasses import replace

from edgekit.emit.tflite.layout import plan_reshape, stored_shape, through_transpose
from edgekit.emit.tflite.lowering import Lowering
from edgekit.types.graph import Node


def transpose(lowering: Lowering, node: Node) -> None:
    """Nothing: the same tensor under another permutation."""
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    permutation = through_transpose(stored.permutation, node.attributes["perm"])
    lowering.publish(node.outputs[0], stored.tensor, permutation, clamp=node.clamp)


def reshape(lowering: Lowering, node: Node) -> None:
    """RESHAPE in the stored layout where merged axes are contiguous there, else after a TRANSPOSE that makes them so.

    A map flattened for Gemm alone is not transposed: the columns of the weight are.
    """
    name = node.outputs[0]
    shape, target = lowering.graph.shape(node.inputs[0]), lowering.graph.shape(name)
    stored = lowering.read(node.inputs[0], int8=lowering.is_int8(node))
    plan = plan_reshape(shape, target, stored.permutation)
    shuffled = plan.features is not None and _only_gemm_reads(lowering, node)
    tensor = stored.tensor if shuffled else lowering.permuted(stored, plan.source, shape=shape)
    tensor = lowering.reshape(tensor, stored_shape(target, plan.result))
    lowering.publish(name, tensor, plan.result, clamp=node.clamp)
    if shuffled:
        lowering.stored[name] = replace(lowering.stored[name], features=plan.features)


def _only_gemm_reads(lowering: Lowering, node: Node) -> bool:
    """Whether every reader is a Gemm whose columns can be shuffled: those that share scales in blocks cannot."""
    graph, name = lowering.graph, node.outputs[0]
    readers = graph.consumers.get(name, ())
    return name not in graph.outputs and all(
        reader.op == "Gemm"
        and reader.inputs[0] == name
        and reader.inputs[1] in graph.constants
        and not _has_blocks(lowering, reader.inputs[1])
        for reader in readers
    )


def _has_blocks(lowering: Lowering, name: str) -> bool:
    qparams = lowering.quantized.qparams.get(name)
    return qparams is not None and qparams.block > 0
