"""One check report of several: the files of each quantized graph are compared together, and read as one table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from edgekit.types.report import CheckReport


def merge(reports: Sequence[CheckReport]) -> CheckReport:
    """Put the files of further checks behind those of the first.

    The first is the check of the main files: the machine, the source of the samples, the entry of the float file and
    the worst layers are its. Findings that several checks made in the same words are told once.

    Args:
        reports: At least one; each has the float file among its artifacts.
    """
    first, *others = reports
    seen = {entry.artifact.format for entry in first.artifacts}
    entries = list(first.artifacts)
    for report in others:
        entries += [entry for entry in report.artifacts if entry.artifact.format not in seen]
        seen.update(entry.artifact.format for entry in report.artifacts)
    return dataclasses.replace(
        first,
        samples=min(report.samples for report in reports),
        artifacts=tuple(entries),
        pairs=tuple(pair for report in reports for pair in report.pairs),
        findings=tuple(dict.fromkeys(finding for report in reports for finding in report.findings)),
        seconds=sum(report.seconds for report in reports),
    )
