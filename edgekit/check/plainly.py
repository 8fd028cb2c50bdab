"""The check of files for hardware that is not here: what they say, not how fast or how they are fused.

The plain meaning of a QDQ file is each pair computed in float, which ONNX Runtime does when its graph optimisations
are off. It is what every conforming runtime aims at, so a wrong file shows; the kernels of the target stay untested.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from edgekit.check.case import load_case
from edgekit.check.held_back import HeldBackWalk
from edgekit.check.measured import Measured, build_report
from edgekit.check.subject import open_subject
from edgekit.types.artifact import FLOAT, Artifact
from edgekit.types.finding import Finding, Severity
from edgekit.types.graph import QuantizedGraph
from edgekit.types.progress import Progress, Silent
from edgekit.types.report import CheckReport
from edgekit.types.samples import Samples


def compare_plainly(
    artifacts: Sequence[Artifact],
    *,
    quantized: QuantizedGraph,
    held_back: Samples,
    budget_seconds: float = 10.0,
    progress: Progress | None = None,
) -> CheckReport:
    """Run the plain meaning of every file over the held-back samples.

    Args:
        artifacts: The float ONNX file and files of `quantized`.
        quantized: The graph that all of them were made from.
        held_back: Samples that calibration has not seen; as many as the budget allows, two at least.
        budget_seconds: Wall time to aim for.
        progress: Who watches.

    Raises:
        CheckError: There is no float file, or it does not run: nothing to compare with.
        InputError: The samples do not fit the model's inputs.
    """
    start = time.perf_counter()
    case = load_case(artifacts, quantized, open_file=partial(open_subject, optimize=False))
    walk = HeldBackWalk(case.exact, case.subjects, plain=None, reference=None)
    with (progress or Silent()).stage("read plain meaning", held_back.count) as stage:
        outcome = walk.walk(held_back, budget_seconds=budget_seconds, reference_seconds=0.0, stage=stage)
    measured = Measured(case, outcome, notes=(_note_plain(artifacts),))
    return build_report(measured, source=held_back.source, seconds=time.perf_counter() - start)


def _note_plain(artifacts: Sequence[Artifact]) -> Finding:
    names = ", ".join(artifact.path.name for artifact in artifacts if artifact.format != FLOAT)
    return Finding(
        "target-not-here",
        f"made for hardware or a runtime that is not here: {names}; what they mean was checked with ONNX Runtime, "
        "graph optimisations off, but neither their speed nor the kernels that will run them",
        Severity.NOTE,
        hint="run them on the target itself before they are shipped",
    )
