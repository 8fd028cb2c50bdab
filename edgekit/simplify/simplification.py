"""The story of simplification: a float ONNX file comes in, a clean Graph in the dialect goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.simplify.activations import drop_softplus_threshold
from edgekit.simplify.affine_folding import fold_affine
from edgekit.simplify.attention import drop_nan_guards
from edgekit.simplify.audit import audit
from edgekit.simplify.batch import find_batch_axes
from edgekit.simplify.batchnorm_folding import ChannelMoments, fold_batchnorm
from edgekit.simplify.clamp import absorb_clamps
from edgekit.simplify.constant_joins import pad_for_constants
from edgekit.simplify.duplicates import merge_duplicates
from edgekit.simplify.factor_sinking import sink_factors
from edgekit.simplify.gelu_recognition import find_gelu
from edgekit.simplify.layer_norm_recognition import find_layer_norm
from edgekit.simplify.layout_merging import merge_layout
from edgekit.simplify.linear import matmuls_to_gemm
from edgekit.simplify.naming import name_by_module
from edgekit.simplify.noise_removal import remove_noise
from edgekit.simplify.onnx_import import import_onnx
from edgekit.simplify.padding_folding import fold_padding
from edgekit.simplify.pixel_shuffle import find_pixel_shuffle
from edgekit.simplify.pooling import find_global_pooling
from edgekit.simplify.slice_hoisting import take_parts_of_concat, unpack_projections
from edgekit.simplify.translation import translate
from edgekit.simplify.virtual_batch import with_virtual_batch
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.finding import Finding
from edgekit.types.graph import Graph
from edgekit.types.spec import TensorSpec

Pass = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Simplified:
    """What simplification hands on.

    Attributes:
        graph: Every node in the dialect, absorbed clamps, readable names, batch axes.
        batchnorms: What folded BatchNorms say about the results of their nodes, before any clamp.
        findings: What was frozen, narrowed, or could not keep a free batch.
    """

    graph: Graph
    batchnorms: tuple[BatchNormStatistics, ...]
    findings: tuple[Finding, ...]


RECOGNITION: tuple[Pass, ...] = (
    drop_softplus_threshold,
    drop_nan_guards,
    translate,
    remove_noise,
    merge_duplicates,
    find_gelu,
    find_layer_norm,
    fold_padding,
    matmuls_to_gemm,
)
"""From ONNX operators to the dialect; BatchNormalization is left for the fold."""

FOLDING: tuple[Pass, ...] = (find_global_pooling, pad_for_constants, remove_noise)
"""Constants into layers."""

LAYOUT: tuple[Pass, ...] = (
    merge_layout,
    take_parts_of_concat,
    unpack_projections,
    remove_noise,
    merge_layout,
    merge_layout,
    find_pixel_shuffle,
    remove_noise,
)
"""Data movement; run at a virtual batch."""

FINISH: tuple[Pass, ...] = (
    fold_affine,
    fold_affine,
    sink_factors,
    remove_noise,
    merge_duplicates,
    absorb_clamps,
    fold_padding,
)
"""What the passes before have made possible."""


def simplify(path: Path, *, name: str, inputs: Sequence[TensorSpec] = ()) -> Simplified:
    """Turn a float ONNX file into a clean Graph.

    Args:
        path: ONNX file of any exporter, opset 11 to 23, static shapes (batch 1) or open ones that `inputs` fixes.
        name: Name of the graph, used in files.
        inputs: Shapes for open dimensions.

    Returns:
        The graph in the dialect; its outputs equal the file's up to float rounding.

    Raises:
        ModelLoadError: The file is missing, corrupt, or has open dimensions that `inputs` does not fix.
        UnsupportedOpError: Operators that the dialect cannot express, all of them at once.
    """
    graph, findings = import_onnx(path, name=name, inputs=inputs)
    graph = _run(graph, RECOGNITION)
    graph, moments = fold_batchnorm(graph)
    graph = _run(graph, FOLDING)
    audit(graph)
    _, stuck = find_batch_axes(graph)
    graph = with_virtual_batch(graph, LAYOUT)
    graph = _run(graph, FINISH)
    audit(graph)
    graph, still_stuck = find_batch_axes(graph)
    named = name_by_module(graph)
    return Simplified(named, _statistics(graph, named, moments), findings + (still_stuck and (stuck or still_stuck)))


def _run(graph: Graph, passes: Sequence[Pass]) -> Graph:
    for step in passes:
        graph = step(graph)
    return graph


def _statistics(graph: Graph, named: Graph, moments: Mapping[str, ChannelMoments]) -> tuple[BatchNormStatistics, ...]:
    """Moments of the nodes whose weight is still the folded one; a later change of scale invalidates them."""
    found = []
    for node, renamed in zip(graph.nodes, named.nodes, strict=True):
        if len(node.inputs) > 1 and node.inputs[1] in moments:
            kept = moments[node.inputs[1]]
            found.append(BatchNormStatistics(renamed.outputs[0], kept.mean, kept.variance))
    return tuple(found)
