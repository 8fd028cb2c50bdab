"""What a compression measured, as flat numbers for a logger."""

from __future__ import annotations

import math

from edgekit.types.result import CompressResult

PREFIX = "edgekit/"


def numbers_of(result: CompressResult) -> dict[str, float]:
    """Name -> value for each file: bytes, signal to noise in dB, share of equal answers, accuracy and its change.

    Names are `edgekit/FORMAT/bytes`, `.../sqnr_db`, `.../agreement`, `.../accuracy` and `.../accuracy_change`. What was
    not measured is left out, and so is an infinite ratio (equal outputs).
    """
    found: dict[str, float | None] = {}
    for entry in result.report.check.artifacts:
        place = f"{PREFIX}{entry.artifact.format}/"
        found[f"{place}bytes"] = float(entry.artifact.size_bytes)
        if entry.signal is not None:
            found[f"{place}sqnr_db"] = entry.signal.sqnr_db
            agreement = entry.signal.top1_agreement
            found[f"{place}agreement"] = None if agreement is None else agreement.estimate
        if entry.accuracy is not None:
            found[f"{place}accuracy"] = entry.accuracy.accuracy
            found[f"{place}accuracy_change"] = entry.accuracy.difference.estimate
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
