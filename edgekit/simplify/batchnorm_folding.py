"""Folds BatchNormalization (inference) into the linear layer before it, and keeps what it says about the data.

A trained BatchNorm knows mean and variance of its result: beta and gamma^2 v / (v + epsilon). They outlive the fold,
because calibration without data needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.simplify.editor import Editor
from edgekit.simplify.linear_weights import LINEAR, channel_axis, scale_outputs
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array


@dataclass(frozen=True, eq=False)
class ChannelMoments:
    """Mean and variance (C,), float32, of a linear node's result before its clamp, as training left them."""

    mean: Array
    variance: Array


def fold_batchnorm(graph: Graph) -> tuple[Graph, Mapping[str, ChannelMoments]]:
    """Remove every BatchNormalization.

    Rules:
        1. `gamma * (x - mean) / sqrt(var + epsilon) + beta` is `x * scale + shift` per channel (Ioffe & Szegedy 2015,
           algorithm 2).
        2. When x comes from a Conv, ConvTranspose or rank-2 Gemm that nobody else reads, scale and shift are folded
           into its weight and bias, computed in float64.
        3. Otherwise a Mul and an Add by (1, C, 1, ...) constants are left, which `fold_affine` may push onwards.

    Returns:
        The graph, and weight constant name -> moments of the folded node's result.
    """
    editor = Editor(graph)
    moments: dict[str, ChannelMoments] = {}
    for node in editor.each("BatchNormalization"):
        parameters = [editor.constant(name) for name in node.inputs[1:5]]
        if node.attributes.get("training_mode", 0) or any(array is None for array in parameters):
            continue  # left for the audit
        gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in parameters)
        scale = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
        shift = beta - mean * scale
        source = node.inputs[0]
        producer = editor.sole_producer(source)
        if producer is not None and producer.op in LINEAR and channel_axis(editor, producer) == 1:
            folded = scale_outputs(editor, producer, scale, shift)
            moments[folded.inputs[1]] = ChannelMoments(
                beta.astype(np.float32), (np.square(scale) * variance).astype(np.float32)
            )
            editor.substitute(node, source)
        else:
            _leave_affine(editor, node, scale, shift)
    return editor.graph(), moments


def _leave_affine(editor: Editor, node: Node, scale: Array, shift: Array) -> None:
    rank = len(editor.shape(node.inputs[0]))
    spread = (1, -1, *(1 for _ in range(rank - 2)))
    factor = editor.add_constant(scale.astype(np.float32).reshape(spread), f"{node.inputs[1]}.scale")
    addend = editor.add_constant(shift.astype(np.float32).reshape(spread), f"{node.inputs[2]}.shift")
    product = editor.add("Mul", [node.inputs[0], factor], like=node)
    editor.substitute(node, editor.add("Add", [product, addend], like=node))
