"""All that `emit.targets` asks for, in two calls: the files are written, then they join the check.

Targets that need the same plan share one quantized graph; what the CPU at hand can run is checked as every file is,
the rest by its plain meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.check.accuracy import Task
from edgekit.check.compare import compare
from edgekit.check.machine import describe_machine
from edgekit.check.merge import merge
from edgekit.check.plainly import compare_plainly
from edgekit.targets.emission import emit_host, emit_target
from edgekit.targets.host import choose_for_host
from edgekit.targets.variants import resolve, variants, with_scheme
from edgekit.types.artifact import Artifact
from edgekit.types.graph import Graph, QuantizedGraph
from edgekit.types.plan import Plan
from edgekit.types.progress import Progress
from edgekit.types.recipe import FILES
from edgekit.types.report import CheckReport
from edgekit.types.samples import Samples
from edgekit.types.target import HOST, HostChoice


@dataclass(frozen=True, eq=False)
class Delivery:
    """Files made from one quantized graph for targets that want it.

    Attributes:
        quantized: The graph.
        artifacts: Its files, without the float one.
        runs_here: Whether this machine is such a target, so that its speed and kernels can be judged.
    """

    quantized: QuantizedGraph
    artifacts: tuple[Artifact, ...]
    runs_here: bool


@dataclass(frozen=True, eq=False)
class Workshop:
    """What the files of every target are made with.

    Attributes:
        graph: The float graph.
        quantize: Plan -> quantized graph; asked once per plan, so a cached one is welcome.
        folder: Where the files go.
        workdir: For temporary files.
        describe: Quantized graph -> strings for the metadata of its files.
        io: "float" or "int8".
        redecide: Rounds the weights of a plan that lost them, see `variants.with_scheme`.
    """

    graph: Graph
    quantize: Callable[[Plan], QuantizedGraph]
    folder: Path
    workdir: Path
    describe: Callable[[QuantizedGraph], Mapping[str, str]]
    io: str = "float"
    redecide: Callable[[Plan], Plan] | None = None


def deliver(
    names: Sequence[str], plan: Plan, workshop: Workshop, *, samples: Samples, progress: Progress | None = None
) -> tuple[tuple[Delivery, ...], HostChoice | None]:
    """Write the files that exist for the named targets alone.

    The general formats they use as well are `variants.formats_of`, written from the main graph.

    Args:
        names: Names of `TARGETS`.
        plan: Of the main files.
        workshop: What they are made with.
        samples: That did not calibrate, for the choice of the host's file.
        progress: Who watches.

    Returns:
        (the deliveries, how the host's file was chosen or None when `host` was not asked for).

    Raises:
        RecipeError: A name that is no target.
        CheckError: No candidate for the host runs.
        StorageError: A file cannot be written.
    """
    machine = describe_machine()
    deliveries: list[Delivery] = []
    for variant, targets in variants(plan, names, redecide=workshop.redecide).items():
        own = [target for target in targets if not target.is_general]
        if not own:
            continue
        quantized = workshop.quantize(variant)
        about = workshop.describe(quantized)
        for here in (True, False):
            chosen = [target for target in own if target.runs_on(machine) is here]
            files = [
                artifact
                for target in chosen
                for artifact in emit_target(quantized, workshop.folder, target=target, io=workshop.io, metadata=about)
            ]
            if files:
                deliveries.append(Delivery(quantized, tuple(files), here))
    if HOST not in [target.name for target in resolve(names)]:
        return tuple(deliveries), None
    delivery, choice = _deliver_host(plan, workshop, samples, progress)
    return (*deliveries, delivery), choice


def check_deliveries(
    main: CheckReport,
    deliveries: Sequence[Delivery],
    *,
    float_file: Artifact,
    held_back: Samples,
    task: Task | None = None,
    budget_seconds: float = 20.0,
    progress: Progress | None = None,
) -> CheckReport:
    """Check the deliveries and put their entries behind those of the main files.

    Args:
        main: The check of the main files.
        deliveries: What `deliver` returned.
        float_file: The float ONNX file.
        held_back: Samples that calibration has not seen.
        task: Labelled samples and a metric, for the files that run here.
        budget_seconds: Wall time to aim for, for all of them together.
        progress: Who watches.

    Raises:
        CheckError: The float file does not run.
    """
    reports = [main]
    share = budget_seconds / max(1, len(deliveries))
    for delivery in deliveries:
        files = (float_file, *delivery.artifacts)
        if delivery.runs_here:
            report = compare(
                files,
                quantized=delivery.quantized,
                held_back=held_back,
                task=task,
                budget_seconds=share,
                progress=progress,
            )
        else:
            report = compare_plainly(
                files, quantized=delivery.quantized, held_back=held_back, budget_seconds=share, progress=progress
            )
        reports.append(report)
    return merge(reports)


def _deliver_host(
    plan: Plan, workshop: Workshop, samples: Samples, progress: Progress | None
) -> tuple[Delivery, HostChoice]:
    choice, quantized = choose_for_host(
        workshop.graph,
        lambda scheme: workshop.quantize(with_scheme(plan, scheme, redecide=workshop.redecide)),
        samples=samples,
        workdir=workshop.workdir,
        progress=progress,
    )
    artifact = emit_host(
        quantized,
        workshop.folder / FILES["onnx-host"],
        candidate=choice.candidate,
        io=workshop.io,
        metadata=workshop.describe(quantized),
    )
    return Delivery(quantized, (artifact,), runs_here=True), choice
