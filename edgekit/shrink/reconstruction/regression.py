"""The weights a layer should have behind a quantized prefix, and how far to trust that estimate.

Behind quantized layers a layer reads x_q instead of x. Asked to give what the float layer gives, W x, its best weights
are no longer W: part of x - x_q is a linear function of x_q (roundings of weights before it are), and that part can be
undone. This is the asymmetric reconstruction of Nagel et al. 2020 ("AdaRound", arXiv 2004.10568, section 3.3) solved in
closed form (as Li et al. 2025, "GPTAQ", arXiv 2504.02692): W* = W (I + D (H + ridge)^-1) with H = cov(x_q) and
D = cov(x - x_q, x_q). The ridge is chosen on samples left out of the regression; an infinite one gives W back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.shrink.quantization.moments import LEAST_POSITIONS, Columns
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

VECTORS = 8.0
"""Columns gathered per entry of a column."""
LEFT_OUT = 4
"""Every fourth sample chooses the ridge instead of entering the regression."""
LEAST_SAMPLES = 16
"""Below this none is left out, and W stays the target."""
RIDGES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Candidates besides infinity, in mean diagonal entries of H."""


@dataclass(eq=False)
class PairedMoments:
    """Running sums over pairs of columns: x of the float model and x_q of the quantized one, at the same positions.

    Attributes:
        second: float64 (groups, K, K), sum of x_q x_q^T.
        cross: float64 (groups, K, K), sum of (x - x_q) x_q^T.
        mean: float64 (groups, K), sum of x_q.
        shift: float64 (groups, K), sum of x - x_q.
        count: Columns.
    """

    second: Array
    cross: Array
    mean: Array
    shift: Array
    count: int = 0

    def add(self, exact: Array, stored: Array) -> None:
        """Take in columns, float32 (groups, K, positions) each."""
        difference, turned = exact - stored, stored.transpose(0, 2, 1)
        self.second += np.matmul(stored, turned)
        self.cross += np.matmul(difference, turned)
        self.mean += stored.sum(axis=2)
        self.shift += difference.sum(axis=2)
        self.count += stored.shape[2]

    def matrices(self, *, centred: bool) -> tuple[Array, Array]:
        """(H, D): float64 (groups, K, K), E[x_q x_q^T] and E[(x - x_q) x_q^T], about the means when `centred`."""
        count = max(1, self.count)
        second, cross = self.second / count, self.cross / count
        if centred:
            turned = self.mean[:, None, :] / count
            second = second - self.mean[:, :, None] / count * turned
            cross = cross - self.shift[:, :, None] / count * turned
        return second, cross

    def __add__(self, other: PairedMoments) -> PairedMoments:
        names = ("second", "cross", "mean", "shift", "count")
        return PairedMoments(*(getattr(self, name) + getattr(other, name) for name in names))


def gather_pairs(
    graph: Graph, node: Node, pairs: Sequence[tuple[Array, Array]], *, seed: int
) -> tuple[PairedMoments, PairedMoments]:
    """Sums over the samples that fit and over those left out.

    Args:
        graph: Gives the geometry.
        node: A linear node.
        pairs: (value in the float model, value in the quantized one) of the node's input, one sample each.
        seed: Of the positions looked at.
    """
    columns, rng = Columns(graph, node), np.random.default_rng(seed)
    most = max(LEAST_POSITIONS, math.ceil(VECTORS * columns.depth / max(len(pairs), 1)))
    square, row = (columns.groups, columns.depth, columns.depth), (columns.groups, columns.depth)
    seen, left_out = (PairedMoments(*map(np.zeros, (square, square, row, row))) for _ in range(2))
    for index, (exact, stored) in enumerate(pairs):
        places = columns.choose(most, rng)
        is_left_out = len(pairs) >= LEAST_SAMPLES and index % LEFT_OUT == LEFT_OUT - 1
        chosen = left_out if is_left_out else seen
        chosen.add(columns.read(exact, places), columns.read(stored, places))
    return seen, left_out


def regressed(
    rows: Array, seen: PairedMoments, left_out: PairedMoments, *, centred: bool = True
) -> tuple[Array, float]:
    """The rows W* that rebuild the float output best, by the ridge that does so on the samples left out.

    Args:
        rows: (groups, O, K) float weights W.
        seen: Moments the regression sees.
        left_out: Moments that choose; empty ones choose W.
        centred: Whether a bias takes out the mean error.

    Returns:
        (W*, its ridge); W itself with ridge inf where no correction helps.
    """
    best, best_ridge, least = rows, math.inf, 0.0
    if not left_out.count:
        return best, best_ridge
    second, cross = seen.matrices(centred=centred)
    second_out, cross_out = left_out.matrices(centred=centred)
    values, vectors = np.linalg.eigh(second)
    turned, wanted_out = np.matmul(np.matmul(rows, cross), vectors), np.matmul(rows, cross_out)
    unit = np.einsum("gkk->gk", second).mean(axis=1)[:, None]
    for ridge in RIDGES:
        damped = np.maximum(values, 0) + ridge * np.where(unit > 0, unit, 1.0)
        change = np.matmul(turned / damped[:, None, :], vectors.transpose(0, 2, 1))
        gain = float((np.matmul(change, second_out) * change).sum() - 2 * (change * wanted_out).sum())
        if gain < least:
            best, best_ridge, least = rows + change, ridge, gain
    return best, best_ridge


def mean_output(rows: Array, moments: PairedMoments, *, exact: bool) -> Array:
    """Mean of a layer's output before its bias: float64 (groups * O,), on x or on x_q."""
    mean = (moments.mean + (moments.shift if exact else 0.0)) / max(1, moments.count)
    result: Array = np.matmul(rows, mean[:, :, None])[:, :, 0].reshape(-1)
    return result
