"""The report's tables as rows of text, for Markdown and the terminal alike: what each cell says is decided once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgekit.types.artifact import FLOAT
from edgekit.types.interval import Interval
from edgekit.types.report import ArtifactCheck, LayerQuality, Report
from edgekit.units import duration, share, size

NONE = "-"
"""Not measured, or without meaning for this row."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: Headings; the first column is text, the others are numbers.
        rows: As many cells as columns each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def decibels(value: float | None) -> str:
    """An SQNR for people.

    >>> decibels(19.13), decibels(float("inf")), decibels(None)
    ('19.1 dB', 'exact', '-')
    """
    if value is None:
        return NONE
    if math.isinf(value):
        return "exact" if value > 0 else "lost"
    return "not a number" if math.isnan(value) else f"{value:.1f} dB"


def percent(interval: Interval | None, *, ends: bool = True) -> str:
    """A share, with the ends of its interval or without.

    >>> percent(Interval(0.975, 0.93, 0.99))
    '97.5 % (93.0-99.0)'
    """
    if interval is None:
        return NONE
    if not ends:
        return share(interval.estimate)
    return f"{share(interval.estimate)} ({interval.low * 100:.1f}-{interval.high * 100:.1f})"


def tabulate_files(report: Report, *, ends: bool = True) -> Table:
    """One row per file; the accuracy column only where labels were given.

    Args:
        report: What to tabulate.
        ends: Give the ends of confidence intervals, too.
    """
    with_accuracy = any(entry.accuracy for entry in report.check.artifacts)
    columns = ["file", "size", "of float", "SQNR", "same top-1", "LSB off", "time", "time ratio", "int8/float"]
    rows = [_file_cells(entry, with_accuracy=with_accuracy, ends=ends) for entry in report.check.artifacts]
    return Table((*columns, *(["accuracy"] if with_accuracy else [])), tuple(rows))


def _file_cells(entry: ArtifactCheck, *, with_accuracy: bool, ends: bool) -> tuple[str, ...]:
    is_float = entry.artifact.format == FLOAT
    signal, latency, fusion, reference = entry.signal, entry.latency, entry.fusion, entry.reference
    cells = [
        entry.artifact.path.name,
        size(entry.artifact.size_bytes),
        NONE if is_float else share(entry.size_ratio),
        "does not run" if entry.error else decibels(signal.sqnr_db) if signal else NONE,
        percent(signal.top1_agreement, ends=ends) if signal else NONE,
        str(reference.max_lsb) if reference else NONE,
        duration(latency.median_ms / 1e3) if latency else NONE,
        NONE if is_float or latency is None else _ratio(latency.ratio, ends=ends),
        f"{fusion.int8}/{fusion.float}" if fusion else NONE,
    ]
    if with_accuracy:
        cells.append(share(entry.accuracy.accuracy) if entry.accuracy else NONE)
    return tuple(cells)


def _ratio(ratio: Interval, *, ends: bool) -> str:
    return f"{ratio.estimate:.2f}" + (f" ({ratio.low:.2f}-{ratio.high:.2f})" if ends else "")


def tabulate_layers(layers: tuple[LayerQuality, ...]) -> Table:
    """How well layers hold the signal, their range and outliers, what float would cost, and the likely causes.

    Columns of what was not measured are left out.
    """
    scanned = any(layer.output_share is not None for layer in layers)
    priced = any(layer.float_ms is not None or layer.float_bytes is not None for layer in layers)
    columns = ("layer", *(["of output noise"] if scanned else []), "SQNR", "inputs", "range", "peak/RMS", "spread")
    prices = ("float: time", "float: size") if priced else ()
    rows = [
        (
            layer.label,
            *([NONE if layer.output_share is None else share(layer.output_share)] if scanned else []),
            decibels(layer.sqnr_db),
            decibels(layer.input_sqnr_db),
            NONE if layer.low is None or layer.high is None else f"{layer.low:.3g} to {layer.high:.3g}",
            f"{layer.crest_factor:.1f}",
            f"{layer.channel_spread:.1f}",
            share(layer.saturated_share),
            *(_price_cells(layer) if priced else []),
            "; ".join(layer.causes) or NONE,
        )
        for layer in layers
    ]
    return Table((*columns, "out of range", *prices, "why"), tuple(rows))


def _price_cells(layer: LayerQuality) -> list[str]:
    """What the layer in float adds: time and bytes."""
    ms, more = layer.float_ms, layer.float_bytes
    return [
        NONE if ms is None else ("-" if ms < 0 else "+") + duration(abs(ms) / 1e3),
        NONE if more is None else ("-" if more < 0 else "+") + size(abs(more)),
    ]


def tabulate_pairs(report: Report) -> Table:
    """How far the int8 files are from one another."""
    names = {str(entry.artifact.format): entry.artifact.path.name for entry in report.check.artifacts}
    rows = [
        (
            f"{names.get(gap.first, gap.first)} and {names.get(gap.second, gap.second)}",
            str(gap.max_lsb),
            share(gap.share_within_one),
            str(gap.samples),
        )
        for gap in report.check.pairs
    ]
    return Table(("files", "max LSB", "within 1 LSB", "samples"), tuple(rows))
