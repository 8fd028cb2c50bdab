"""A small net of three layers whose inputs are smooth: what rounding better than to nearest feeds on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.emit.exporter import float_artifact
from edgekit.ladder.draft import Draft, Evidence
from edgekit.ladder.scoring import Scorer
from edgekit.runtime.ort import open_onnx
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.types.graph import Graph, Node
from edgekit.types.plan import Plan
from edgekit.types.recipe import BudgetSettings
from edgekit.types.sample_set import SampleSet
from tests.shrink.quantization.graphs import CONV, make, weights

INF = float("inf")


def smooth_net() -> Graph:
    """Three layers whose inputs are smooth, so that neighbouring taps say nearly the same."""
    depthwise = {**CONV, "group": 8}
    nodes = [
        Node("first", "Conv", ("x", "w1", "b1"), ("h",), CONV, "first", (0.0, INF)),
        Node("depthwise", "Conv", ("h", "w2"), ("d",), depthwise, "depthwise"),
        Node("last", "Conv", ("d", "w3"), ("y",), CONV, "last"),
    ]
    shapes = {"x": (1, 2, 12, 12), "h": (1, 8, 12, 12), "d": (1, 8, 12, 12), "y": (1, 4, 12, 12)}
    constants = {
        "w1": weights(1, 8, 2, 3, 3),
        "b1": weights(2, 8, 1)[:, 0],
        "w2": weights(3, 8, 1, 3, 3),
        "w3": weights(4, 4, 8, 3, 3),
    }
    return make(nodes, shapes, constants, outputs=("y",))


def pictures(start: int, count: int) -> SampleSet:
    """Smooth random maps."""

    def read(index: int) -> dict[str, np.ndarray]:
        coarse = np.random.default_rng(index).normal(size=(1, 2, 3, 3))
        return {"x": np.kron(coarse, np.ones((4, 4))).astype(np.float32)}

    return SampleSet(np.arange(start, start + count), read, "smooth maps")


def evidence_of(
    graph: Graph, folder: Path, plan: Plan, *, count: int = 40, effort: str = "balanced"
) -> tuple[Draft, Evidence]:
    """A draft of the net with `plan`, and evidence that scores it on ONNX Runtime."""
    path = folder / "float.onnx"
    float_artifact(graph, path, metadata={})
    histograms = observe(open_onnx(path, taps=observed_values(graph)), graph, pictures(0, count))
    scorer = Scorer(graph, pictures(1000, 20), "onnx-x86", folder)
    return Draft(graph, histograms, plan), Evidence(pictures(0, count), scorer, BudgetSettings(), effort, folder)
