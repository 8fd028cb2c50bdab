"""The path of the accuracy ladder and the budget as rows of text."""

from __future__ import annotations

import math

from edgekit.report.tables import NONE, Table, decibels
from edgekit.types.ladder import LadderReport, Score, Step
from edgekit.types.report import Report
from edgekit.units import duration, share, size

LIMITS = {
    "max_drop": "at most {} lost",
    "min_sqnr": "SQNR of at least {}",
    "min_agreement": "same top-1 on at least {}",
    "max_size": "at most {}",
    "max_latency_ratio": "at most {} of the float time",
}
"""Name of a limit -> what it asks for."""


def tabulate_ladder(ladder: LadderReport) -> Table:
    """One row per rung: what it gained, whether it stayed, and why."""
    with_drop = any(step.after and step.after.drop_points is not None for step in ladder.steps)
    columns = ["rung", "kept", "SQNR", "gain", "same top-1", *(["lost"] if with_drop else []), "size", "tried", "took"]
    rows = [(*_step_cells(step, with_drop=with_drop), step.outcome) for step in ladder.steps]
    return Table((*columns, "what"), tuple(rows))


def _step_cells(step: Step, *, with_drop: bool) -> list[str]:
    score = step.after
    drop = [NONE if score is None or score.drop_points is None else points(score.drop_points, sign="+")]
    return [
        step.rung,
        "yes" if step.kept else "no",
        decibels(score.sqnr_db) if score else NONE,
        gain(step.before, score),
        NONE if score is None or score.agreement is None else share(score.agreement),
        *(drop if with_drop else []),
        size(score.size_bytes) if score else NONE,
        str(step.tried) if score else NONE,
        duration(step.seconds) if score else NONE,
    ]


def points(value: float, *, sign: str = "") -> str:
    """Points of a metric; no minus before a zero.

    >>> points(-0.0), points(-0.4, sign="+"), points(-0.001)
    ('0.00 points', '-0.40 points', '0.00 points')
    """
    return f"{round(value, 2) + 0.0:{sign}.2f} points"


def gain(before: Score | None, after: Score | None) -> str:
    """By how much the output error fell, dB; "-" where one of the two is not known or not finite."""
    if before is None or after is None:
        return NONE
    gained = after.sqnr_db - before.sqnr_db
    return f"{gained:+.1f} dB" if math.isfinite(gained) else NONE


def describe_climb(ladder: LadderReport) -> str:
    """What was climbed, on what it was scored, and why it ended."""
    scored = f", scored with {ladder.format} on {ladder.samples} samples" if ladder.samples else ""
    return f"Effort '{ladder.effort}'{scored}. Ended: {ladder.stopped or 'all rungs were looked at'}."


def tabulate_budget(report: Report) -> Table:
    """One row per limit and file, those that are missed first."""
    names = {str(entry.artifact.format): entry.artifact.path.name for entry in report.check.artifacts}
    ordered = sorted(report.judgements, key=lambda judgement: judgement.met)
    rows = [
        (
            LIMITS.get(found.limit, found.limit + " {}").format(in_unit(found.limit, found.allowed)),
            names.get(found.format, found.format),
            in_unit(found.limit, found.measured),
            "kept" if found.met else "missed",
            found.note or NONE,
        )
        for found in ordered
    ]
    return Table(("limit", "file", "measured", "result", "note"), tuple(rows))


def in_unit(limit: str, value: float | None) -> str:
    """The value of a limit as people write it.

    >>> in_unit("max_size", 5_200_000), in_unit("min_sqnr", 24.0), in_unit("max_drop", None)
    ('5.2 MB', '24.0 dB', '-')
    """
    if value is None:
        return NONE
    if limit == "max_size":
        return size(int(value))
    if limit == "min_sqnr":
        return decibels(value)
    if limit == "max_drop":
        return points(value)
    return share(value) if limit == "min_agreement" else f"{value:.2f}"
