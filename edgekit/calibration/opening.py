"""From what the user hands over to a simplified graph: loaded and cleaned, or trained as the graph it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.calibration.elsewhere import without_import
from edgekit.load.checkpoint import open_model
from edgekit.simplify.simplification import Simplified, simplify
from edgekit.types.decided import Decided, DecidedModel
from edgekit.types.model import Model
from edgekit.types.progress import Progress
from edgekit.types.spec import TensorSpec


def open_simplified(
    source: object,
    *,
    workdir: Path,
    inputs: Sequence[TensorSpec],
    factory: str | None,
    trust_pickle: bool,
    progress: Progress,
) -> tuple[Simplified, Model]:
    """The graph of a model, and where it came from.

    Args:
        source: As `open_model` takes it, or a model that brings its own integers: its graph was simplified before.
        workdir: For temporary files.
        inputs: Declared inputs.
        factory: What builds the module of a state dict.
        trust_pickle: Unpickle a whole module.
        progress: Told of loading and simplifying.

    Raises:
        InputError: The model cannot be used.
        ShrinkError: Its training diverged.
    """
    if isinstance(source, DecidedModel):
        with progress.stage("load"):
            return _take(source.decided(), workdir)
    with progress.stage("load"):
        loaded = open_model(source, workdir=workdir, inputs=inputs, factory=factory, trust_pickle=trust_pickle)
    with progress.stage("simplify"):
        return without_import(simplify(loaded.path, name=loaded.name), loaded)


def _take(decided: Decided, workdir: Path) -> tuple[Simplified, Model]:
    graph = decided.quantized.graph
    borders = [tuple(graph.spec(name) for name in names) for names in (graph.inputs, graph.outputs)]
    loaded = Model(
        decided.name, workdir, borders[0], borders[1], decided.origin, findings=decided.findings, decided=decided
    )
    return Simplified(graph, (), ()), loaded
