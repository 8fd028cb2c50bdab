"""Draft: a quantized graph in the making, and what its rungs may look at."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edgekit.emit.exporter import float_artifact
from edgekit.runtime.ort import OrtSession, open_onnx
from edgekit.shrink.quantization.histogram import Histogram
from edgekit.shrink.quantization.observe import observe, observed_values
from edgekit.shrink.quantization.quantize import quantize
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.ladder import Score
from edgekit.types.plan import Plan
from edgekit.types.progress import Progress, Silent
from edgekit.types.recipe import BudgetSettings
from edgekit.types.samples import Samples


@dataclass(frozen=True, eq=False)
class Draft:
    """A float graph, what was observed of it, and the plan: together they decide a quantized graph.

    Attributes:
        graph: The simplified float graph; equalization rescales its constants.
        histograms: What `observe` returned for exactly this graph.
        plan: How to quantize.
    """

    graph: Graph
    histograms: Mapping[str, Histogram]
    plan: Plan

    @cached_property
    def quantized(self) -> QuantizedGraph:
        """The graph as its files would have it."""
        return quantize(self.graph, self.histograms, self.plan)

    def with_plan(self, **changes: object) -> Draft:
        """The same draft with some fields of its plan replaced."""
        return dataclasses.replace(self, plan=dataclasses.replace(self.plan, **changes))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a rung may look at besides the draft.

    Attributes:
        samples: Those that calibrated; never the ones that score.
        score: Score of a draft on the runtime of this machine; a draft is run once however often it is asked for.
        budget: What the user asked for.
        effort: How far the ladder may climb.
        workdir: For temporary files.
        progress: Who watches.
        seed: Of every random choice.
        deadline: `time.monotonic()` after which nothing new is begun; inf without a time budget.
        integer_borders: Why the first and last layers have to be int8, one sentence; "" when nothing asks for it.
    """

    samples: Samples
    score: Callable[[Draft], Score]
    budget: BudgetSettings
    effort: str
    workdir: Path
    progress: Progress = dataclasses.field(default_factory=Silent)
    seed: int = 0
    deadline: float = math.inf
    integer_borders: str = ""

    def open_float(self, graph: Graph) -> OrtSession:
        """A session of the float graph with every observed value tapped."""
        path = self.workdir / "rung.fp32.onnx"
        float_artifact(graph, path, metadata={})
        return open_onnx(path, taps=observed_values(graph))

    def observe(self, graph: Graph) -> dict[str, Histogram]:
        """Histograms of another graph over the calibration samples: for rungs that rescale constants."""
        with self.progress.stage("observe again", self.samples.count) as stage:
            return observe(self.open_float(graph), graph, self.samples, advance=stage.advance)
