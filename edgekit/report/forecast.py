"""Forecasts as lines of text: what runs on integers, what falls back, and why, target by target."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.types.forecast import Forecast, NodeGroup, RunsAs
from edgekit.types.target import TARGETS

SHOWN_LABELS = 3
"""Names shown of the nodes that share a reason."""


def tell(forecast: Forecast) -> Iterator[str]:
    """The lines of one target, a headline first, the others indented below it.

    >>> next(tell(Forecast("arm", "rules", ())))
    'arm: nothing in it computes (64-bit ARM CPUs, ONNX Runtime)'
    """
    yield f"{forecast.target}: {_headline(forecast)} ({_source(forecast)})"
    for remark in forecast.remarks:
        yield f"  note: {remark}"
    shared: dict[tuple[RunsAs, str], list[NodeGroup]] = {}
    for group in forecast.groups:
        if group.runs in ("float", "refused", "int8"):
            shared.setdefault((group.runs, group.reason), []).append(group)
    for (runs, reason), groups in shared.items():
        yield f"  {runs}: {_line(groups, reason)}"


def _headline(forecast: Forecast) -> str:
    int8, floats, refused = (forecast.count(runs) for runs in ("int8", "float", "refused"))
    total = int8 + floats + refused
    if not total:
        return "nothing in it computes"
    if refused == total:
        return "cannot use this file"
    parts = [f"{int8} of {total} nodes on int8"]
    if floats:
        parts.append(f"{floats} in float")
    if refused:
        parts.append(f"{refused} refused")
    return ", ".join(parts)


def _source(forecast: Forecast) -> str:
    if forecast.basis != "rules":
        return f"as executed: {forecast.basis}"
    return TARGETS[forecast.target].what


def _line(groups: list[NodeGroup], reason: str) -> str:
    """Groups with one fate and one reason: `20 Conv, 2 Gemm: only its weights are integers [stem, block.1, ...]`."""
    counts = ", ".join(f"{group.count} {group.op}" for group in groups)
    if not reason:
        return counts
    labels = [label for group in groups for label in group.labels]
    more = f", and {len(labels) - SHOWN_LABELS} more" if len(labels) > SHOWN_LABELS else ""
    return f"{counts}: {reason} [{', '.join(labels[:SHOWN_LABELS])}{more}]"
