"""compare: two sets of artifacts, or two earlier reports, into one GateReport."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgekit.bench.artifacts import BenchFile, collect
from edgekit.bench.gate import (
    Judge,
    Pair,
    judge_accuracy,
    judge_files,
    judge_instructions,
    judge_size,
    judge_unpaired,
    pair_up,
)
from edgekit.bench.lanes import in_lanes, named_devices
from edgekit.devices.opening import open_device, say_left
from edgekit.devices.uri import DeviceUri
from edgekit.types.bench import BenchArtifact, BenchReport, Kind, Measurement
from edgekit.types.gate import GateJudgement, GateRecipe, GateReport, Measure, Verdict
from edgekit.types.progress import Progress, Silent


def compare(
    base: Path,
    head: Path,
    on: Sequence[str],
    *,
    recipe: GateRecipe | None = None,
    threads: Sequence[int] = (1,),
    runtime: Path | None = None,
    progress: Progress | None = None,
) -> GateReport:
    """Judge the artifacts of `head` against those of `base`.

    Args:
        base: A file or a folder of files, before.
        head: The same, after.
        on: Device URIs; wall time is compared on real ones, instructions on `qemu-system:`.
        recipe: The limits.
        threads: Thread counts, each compared on its own.
        runtime: Portable runtime for devices that have no Python of their own.
        progress: Who watches.

    Raises:
        InputError: Nothing to compare, no device or one twice, or a URI that is none.
        DeviceError: A device was not reached or was lost: a gate with holes would not be one.
    """
    recipe = recipe or GateRecipe()
    before, after = collect([base]), collect([head])
    pairs = pair_up(before, after)
    uris = named_devices(on)
    stop = threading.Event()
    watch = progress or Silent()

    def judge(uri: DeviceUri) -> tuple[GateJudgement, ...]:
        device = open_device(uri, runtime=runtime if uri.kind in ("ssh", "adb") else None)
        try:
            judging = Judge(device, recipe, threads=threads, name=uri.display, stop=stop)
            with watch.stage(f"compare on {uri.display}", len(pairs) * len(threads)) as stage:
                found = tuple(judging.judge(pairs, stage.advance))
        except BaseException as error:
            say_left(error, device.close())
            raise
        device.close()
        return found

    judged = in_lanes(uris, judge, stop)
    return GateReport(
        base=str(base),
        head=str(head),
        judgements=(
            *_in_order(pairs, recipe, judged),
            *judge_unpaired("base", _without(before, [pair.base for pair in pairs]), recipe),
            *judge_unpaired("head", _without(after, [pair.head for pair in pairs]), recipe),
        ),
        fail_on_undecided=recipe.fail_on_undecided,
    )


def compare_reports(base: BenchReport, head: BenchReport, names: tuple[str, str], recipe: GateRecipe) -> GateReport:
    """Judge what two earlier reports tell: sizes, task metrics and instruction counts.

    Wall time is not among them: two runs at two moments tell as much of the machine as of the files.

    Args:
        base: The report before.
        head: The report after.
        names: What to call them.
        recipe: The limits.
    """
    before = {artifact.name: artifact for artifact in base.artifacts}
    counted = {_key(one): one for one in base.measurements}
    judgements: list[GateJudgement] = []
    for artifact in head.artifacts:
        if artifact.name not in before:
            continue
        judgements.append(judge_size(artifact.name, before[artifact.name], artifact, recipe))
        judgements.append(judge_accuracy(artifact.name, before[artifact.name], artifact, recipe))
        judgements.extend(
            _judge_measurement(counted[_key(one)], one, recipe.limit_of(artifact.file), recipe)
            for one in head.measurements
            if one.artifact == artifact.name and _key(one) in counted
        )
    after = {artifact.name for artifact in head.artifacts}
    judgements.extend(judge_unpaired("base", (one for one in base.artifacts if one.name not in after), recipe))
    judgements.extend(judge_unpaired("head", (one for one in head.artifacts if one.name not in before), recipe))
    return GateReport(names[0], names[1], tuple(judgements), recipe.fail_on_undecided)


def _judge_measurement(base: Measurement, head: Measurement, limit: float, recipe: GateRecipe) -> GateJudgement:
    if head.kind is Kind.INSTRUCTIONS and base.valid and head.valid:
        assert base.summary
        assert head.summary
        counts = base.summary.minimum, head.summary.minimum
        return judge_instructions(head.artifact, head.device, head.configuration, counts, limit)
    counted = head.kind is Kind.INSTRUCTIONS
    reason = (
        "; ".join(head.invalid or base.invalid) or "nothing was measured"
        if counted
        else "two reports were not measured side by side: compare the files themselves, with --on"
    )
    return GateJudgement(
        head.artifact, head.device, head.configuration, Measure.INSTRUCTIONS if counted else Measure.WALL,
        Verdict.UNDECIDED if counted else Verdict.SKIPPED, None, None, "instructions" if counted else "ms", None,
        limit if counted else recipe.wall_min_effect, reason,
    )  # fmt: skip


def _in_order(
    pairs: Sequence[Pair], recipe: GateRecipe, judged: Sequence[Sequence[GateJudgement]]
) -> Iterator[GateJudgement]:
    """Artifact by artifact: first what was measured, then the facts."""
    for pair in pairs:
        for device in judged:
            yield from (judgement for judgement in device if judgement.artifact == pair.name)
        yield from judge_files(pair, recipe)


def _without(files: Sequence[BenchFile], paired: Sequence[BenchFile]) -> list[BenchArtifact]:
    return [file.artifact for file in files if file not in paired]


def _key(measurement: Measurement) -> tuple[str, str, str, Kind]:
    return measurement.artifact, measurement.device, measurement.configuration, measurement.kind
