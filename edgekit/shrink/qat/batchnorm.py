"""BatchNorms that were folded, brought back for training.

Folding turned `BN(W x)` into `W' x + b'`. A BatchNorm over `W' x` with the folded result's own mean and variance as
running statistics, and their deviation and mean as gamma and beta, is the identity plus `b'`: training begins where
folding ended. From there it is the simulation of Krishnamoorthi 2018 (arXiv 1806.08342, section 3.2.2): weights are
scaled by the running statistics before they are rounded, and the result is divided by that scale again while the
statistics of the batch normalise it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.shrink.qat.parameters import ParameterTree
from edgekit.shrink.qat.weights import WeightSpec
from edgekit.types.batchnorm import BatchNormStatistics
from edgekit.types.graph import Graph, Node

SMALLEST_FACTOR = 1e-6
"""Least magnitude of gamma / deviation: the result is divided by it."""
Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_CLASSES: Mapping[int, type[Norm]] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def restore(
    graph: Graph, tree: ParameterTree, specs: Sequence[WeightSpec], statistics: Sequence[BatchNormStatistics]
) -> dict[str, Norm]:
    """Add a `batchnorm` beside each weight whose node had one folded into it.

    Returns:
        weight name -> the BatchNorm; its weight belongs to one node alone, which has a bias.
    """
    expected = {found.value: found for found in statistics}
    norms: dict[str, Norm] = {}
    for spec in specs:
        node = spec.readers[0]
        found = expected.get(node.outputs[0])
        axis_is_1 = node.op != "Gemm" or len(graph.shape(node.outputs[0])) == 2
        if found is None or len(spec.readers) > 1 or not spec.is_linear or not axis_is_1 or not bias_of(node):
            continue
        norm = _identity(graph, node, found)
        branch, name, count = tree.branch(spec.name), "batchnorm", 0
        while hasattr(branch, name):
            count += 1
            name = f"batchnorm_{count}"
        branch.add_module(name, norm)
        norms[spec.name] = norm
    return norms


def bias_of(node: Node) -> str:
    """Name of a linear node's bias, "" without one."""
    return node.inputs[2] if len(node.inputs) > 2 else ""


def _identity(graph: Graph, node: Node, found: BatchNormStatistics) -> Norm:
    """A BatchNorm that adds the node's bias, and expects of the product what was expected of the folded result."""
    norm = _CLASSES[len(graph.shape(node.outputs[0]))](found.mean.size)
    variance = torch.from_numpy(np.array(found.variance, np.float32))
    mean, bias = torch.from_numpy(np.array(found.mean, np.float32)), torch.from_numpy(graph.constants[bias_of(node)])
    with torch.no_grad():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean - bias)
        norm.running_var.copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(mean)
    return norm


def factor_of(norm: Norm) -> Tensor:
    """gamma / running deviation, (C,): what folding multiplies a weight with, kept away from zero."""
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return torch.where(factor.abs() < SMALLEST_FACTOR, torch.full_like(factor, SMALLEST_FACTOR), factor)


def folded_bias(norm: Norm, factor: Tensor) -> Tensor:
    """beta - mean * factor, (C,)."""
    assert norm.running_mean is not None
    return norm.bias - norm.running_mean * factor


def scaled(node: Node, weight: Tensor, factor: Tensor) -> Tensor:
    """A weight with its output channels multiplied by `factor` (C,)."""
    if node.op != "ConvTranspose":
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    groups = int(node.attributes["group"])  # (C_in, C_out / group, *kernel), groups one after the other along C_in
    rows = factor.reshape(groups, 1, -1).expand(groups, weight.shape[0] // groups, -1).flatten(0, 1)
    return weight * rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def normalised(norm: Norm, product: Tensor, factor: Tensor) -> Tensor:
    """The BatchNorm of a product whose weight was multiplied by `factor`, with the statistics of this batch."""
    result: Tensor = norm(product / factor.reshape(1, -1, *[1] * (product.ndim - 2)))
    return result
