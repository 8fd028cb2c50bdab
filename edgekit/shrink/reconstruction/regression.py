"""The weights a layer should have behind a quantized prefix, and how far to trust that estimate.

Behind quantized layers a layer reads x_q instead of x. Asked to give what the float layer gives, W x, its best weights
are no longer W: part of x - x_q is a linear function of x_q (roundings of weights before it are), and that part can be
undone. This is the asymmetric reconstruction of Nagel et al. 2020 ("AdaRound", arXiv 2004.10568, section 3.3) solved in
closed form (as Li et al. 2025, "GPTAQ", arXiv 2504.02692): W* = W + R (H + ridge)^-1 with H = cov(x_q) and
R = cov(W (x - x_q), x_q). The ridge is chosen on samples left out of the regression; an infinite one gives W back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgekit.shrink.quantization.moments import LEAST_POSITIONS, Columns
from edgekit.types.graph import Graph, Node
from edgekit.types.qparams import Array

Pair = tuple[Array, Array]
"""A value in the float model and the same in the quantized one."""
VECTORS = 32.0
"""Columns gathered per entry of a column; on EfficientNet-Lite0 24 give 0.2 dB more than 8 at about the same cost."""
LEFT_OUT = 4
"""Every fourth sample chooses the ridge instead of entering the regression."""
LEAST_SAMPLES = 16
"""Below this none is left out, and W stays the target."""
RIDGES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Candidates besides infinity, in mean diagonal entries of H."""


class PairedMoments:
    """Running sums over pairs of columns: x of the float model and x_q of the quantized one, at the same positions.

    Attributes:
        second: (groups, K, K), sum of x_q x_q^T.
        wanted: (groups, O, K), sum of r x_q^T; r = W (x - x_q) is what the output lacks.
        mean: (groups, K), sum of x_q.
        lack: (groups, O), sum of r.
        count: Columns.
    """

    def __init__(self, rows: Array) -> None:
        """No columns yet, for a layer of these float rows W, (groups, O, K)."""
        groups, outputs, depth = rows.shape
        self.rows = rows
        self.second: Array = np.zeros((groups, depth, depth))
        self.wanted: Array = np.zeros((groups, outputs, depth))
        self.mean: Array = np.zeros((groups, depth))
        self.lack: Array = np.zeros((groups, outputs))
        self.count = 0

    def add(self, exact: Array, stored: Array) -> None:
        """Take in columns x and x_q, float32 (groups, K, positions) each."""
        lack = np.matmul(self.rows, exact - stored)
        turned = stored.transpose(0, 2, 1)
        self.second += np.matmul(stored, turned)
        self.wanted += np.matmul(lack, turned)
        self.mean += stored.sum(axis=2)
        self.lack += lack.sum(axis=2)
        self.count += stored.shape[2]

    def matrices(self, *, centred: bool) -> tuple[Array, Array]:
        """(H, R): E[x_q x_q^T] and E[r x_q^T], about the means when `centred`."""
        count = max(1, self.count)
        second, wanted = self.second / count, self.wanted / count
        if centred:
            turned = self.mean[:, None, :] / count
            second = second - self.mean[:, :, None] / count * turned
            wanted = wanted - self.lack[:, :, None] / count * turned
        return second, wanted

    def shrunk(self, *, centred: bool) -> Array:
        """H drawn towards its diagonal by K / (K + columns): what few columns say of K * K pairs is mostly chance."""
        second, _ = self.matrices(centred=centred)
        depth = second.shape[1]
        share = depth / (depth + self.count)
        kept: Array = second * ((1 - share) + share * np.eye(depth))
        return kept

    def __add__(self, other: PairedMoments) -> PairedMoments:
        total = PairedMoments(self.rows)
        for name in ("second", "wanted", "mean", "lack", "count"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total


def gather_pairs(
    graph: Graph, node: Node, rows: Array, pairs: Sequence[Pair], *, seed: int
) -> tuple[PairedMoments, PairedMoments]:
    """Sums over the samples that fit and over those left out.

    Args:
        graph: Gives the geometry.
        node: A linear node.
        rows: (groups, O, K) its float weights.
        pairs: (value in the float model, value in the quantized one) of the node's input, one sample each.
        seed: Of the positions looked at.
    """
    columns, rng = Columns(graph, node), np.random.default_rng(seed)
    most = max(LEAST_POSITIONS, math.ceil(VECTORS * columns.depth / max(len(pairs), 1)))
    seen, left_out = PairedMoments(rows), PairedMoments(rows)
    for index, (exact, stored) in enumerate(pairs):
        places = columns.choose(most, rng)
        is_left_out = len(pairs) >= LEAST_SAMPLES and index % LEFT_OUT == LEFT_OUT - 1
        (left_out if is_left_out else seen).add(columns.read(exact, places), columns.read(stored, places))
    return seen, left_out


def regressed(seen: PairedMoments, left_out: PairedMoments, *, centred: bool = True) -> tuple[Array, float]:
    """The rows W* that rebuild the float output best, by the ridge that does so on the samples left out.

    Args:
        seen: Moments the regression sees.
        left_out: Moments that choose; from fewer columns than a column has entries they choose W.
        centred: Whether a bias takes out the mean error.

    Returns:
        (W*, its ridge); W itself with ridge inf where no correction helps.
    """
    best, best_ridge, least = seen.rows, math.inf, 0.0
    if left_out.count < left_out.rows.shape[2]:
        return best, best_ridge
    second, wanted = seen.matrices(centred=centred)
    second_out, wanted_out = left_out.matrices(centred=centred)
    values, vectors = np.linalg.eigh(second)
    turned, unit = np.matmul(wanted, vectors), np.einsum("gkk->gk", second).mean(axis=1)[:, None]
    for ridge in RIDGES:
        damped = np.maximum(values, 0) + ridge * np.where(unit > 0, unit, 1.0)
        change = np.matmul(turned / damped[:, None, :], vectors.transpose(0, 2, 1))
        gain = float((np.matmul(change, second_out) * change).sum() - 2 * (change * wanted_out).sum())
        if gain < least:
            best, best_ridge, least = seen.rows + change, ridge, gain
    return best, best_ridge
