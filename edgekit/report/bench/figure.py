"""A figure of the page: what its chart needs, and the same as a table for everyone who cannot see a chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.report.tables import Table
from edgekit.types.bench import BenchReport


@dataclass(frozen=True)
class Figure:
    """One chart.

    Attributes:
        name: Unique on the page, fit for an id.
        form: How it is drawn: "distribution", "trade-off", "operators", "sustained", "history" or "outputs".
        title: Heading.
        note: How it is read, a sentence.
        data: Plain data for the script. A series names its artifact and device by index.
        table: The same numbers.
    """

    name: str
    form: str
    title: str
    note: str
    data: Mapping[str, Any]
    table: Table


@dataclass(frozen=True)
class Index:
    """Artifacts, devices and configurations by number, as the charts' colours, marks and dashes count them.

    Attributes:
        artifacts: Name -> index.
        devices: Name -> index.
        configurations: Artifact -> its configurations in order.
    """

    artifacts: Mapping[str, int]
    devices: Mapping[str, int]
    configurations: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, report: BenchReport) -> Index:
        """In the order of the report."""
        met: dict[str, dict[str, None]] = {entry.name: {} for entry in report.artifacts}
        pairs = [(entry.artifact, entry.configuration) for entry in report.measurements]
        pairs += [(point.artifact, point.configuration) for point in report.history]
        for artifact, configuration in pairs:
            met.setdefault(artifact, {})[configuration] = None
        return cls(
            {entry.name: number for number, entry in enumerate(report.artifacts)},
            {entry.name: number for number, entry in enumerate(report.devices)},
            {name: tuple(configurations) for name, configurations in met.items()},
        )

    def series(self, artifact: str, device: str, configuration: str) -> dict[str, Any]:
        """What every series says about itself."""
        known = self.configurations[artifact]
        return {
            "artifact": self.artifacts[artifact],
            "device": self.devices[device],
            "configuration": configuration,
            "dash": known.index(configuration) if configuration in known else 0,
        }


def rounded(value: float | None) -> float | None:
    """Six digits: more than a screen shows, and a page of half the size."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")
