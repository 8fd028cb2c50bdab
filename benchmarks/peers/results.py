"""The race's numbers: as JSON in benchmarks/results, as one table per net in benchmarks/README.md.

Apart for CPUs with 8-bit dot products (VNNI) and without: neither accuracy nor latency of a file carries over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import table
from benchmarks.nets.catalogue import NETS
from benchmarks.peers.compression import Attempt
from benchmarks.peers.entries import ENTRIES, Entry
from benchmarks.peers.scoring import FLOAT, Score
from edgekit.check.machine import describe_machine
from edgekit.types.report import Latency

NAME = "race_vnni" if describe_machine().has_int8_dot else "race"
HEADER = ("", "top-1 drop, points", "agreement", "SQNR dB", "MB", "time of float's", "CPU s", "peak MB")
NO_TOP1 = ("lite0",)
"""Nets whose own accuracy is not to be quoted: these photos may have trained it. Differences are fine."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One file of one entry; `size` is 0 where there is none."""

    entry: Entry
    attempt: Attempt
    file: str
    size: int


def read() -> dict[str, Result]:
    """Results of earlier runs, by net."""
    path = table.FOLDER / "results" / f"{NAME}.json"
    found: dict[str, Result] = json.loads(path.read_text(encoding="utf-8"))["nets"] if path.exists() else {}
    return found


def net_result(
    name: str, rows: Sequence[Row], scores: Mapping[str, Score | str], latencies: Mapping[str, Latency]
) -> Result:
    """One net's numbers in JSON form.

    Args:
        name: Of the net.
        rows: Every entry that was attempted.
        scores: "ENTRY/FILE", or FLOAT, -> its Score, or why it does not run.
        latencies: The same for those that run.
    """
    truth = scores[FLOAT]
    assert isinstance(truth, Score)
    machine = describe_machine()
    entries = []
    for row in rows:
        found = scores.get(f"{row.entry.name}/{row.file}", row.attempt.failure)
        line: Result = {"entry": row.entry.name, "file": row.file, "cost": asdict(row.attempt)}
        if isinstance(found, Score):
            latency = latencies[f"{row.entry.name}/{row.file}"]
            line |= {
                "drop_points": 100 * (truth.top1 - found.top1),
                "agreement": found.agreement,
                "sqnr_db": found.sqnr_db,
                "size_mb": row.size / 1e6,
                "latency_ratio": latency.ratio.estimate,
                "latency_low": latency.ratio.low,
                "latency_high": latency.ratio.high,
                "median_ms": latency.median_ms,
            }
        else:
            line["failure"] = found
        entries.append(line)
    return {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa), "runtimes": machine.runtimes},
        "samples": truth.samples,
        "float_top1": None if name in NO_TOP1 else truth.top1,
        "float_ms": latencies[FLOAT].median_ms,
        "rounds": latencies[FLOAT].rounds,
        "entries": entries,
    }


def keep(results: Mapping[str, Result]) -> None:
    """Write the JSON and the tables."""
    ordered = {name: results[name] for name in NETS if name in results}
    table.keep(NAME, {"nets": ordered}, markdown(ordered))


def markdown(results: Mapping[str, Result]) -> str:
    """One table per net under a line that says what it was scored on, and the remarks once."""
    parts = []
    for name, result in results.items():
        top1 = f", float top-1 {100 * result['float_top1']:.1f} %" if result["float_top1"] is not None else ""
        parts.append(f"**{NETS[name].title}**, {result['samples']} samples{top1}, float {result['float_ms']:.2f} ms")
        known = [line for line in result["entries"] if line["entry"] in {entry.name for entry in ENTRIES}]
        parts.append(table.markdown(HEADER, [_line(line) for line in known]))
    remarks = [f"- {entry.title}: {entry.remark}." for entry in ENTRIES if entry.remark]
    return "\n\n".join([*parts, "\n".join(remarks)])


def _line(line: Result) -> tuple[str, ...]:
    entry = next(entry for entry in ENTRIES if entry.name == line["entry"])
    title = entry.title + (", TFLite" if line["file"].endswith(".tflite") else "")
    cost = line["cost"]
    spent = (f"{cost['cpu_seconds']:.1f}", f"{cost['peak_mb']:.0f}") if not cost["failure"] else ("", "")
    if "failure" in line:
        return (f"{title}: {line['failure'].replace('|', '/')}", "", "", "", "", "", *spent)
    return (
        title,
        f"{line['drop_points']:.2f}",
        f"{line['agreement']:.4f}",
        f"{line['sqnr_db']:.1f}",
        f"{line['size_mb']:.2f}",
        f"{line['latency_ratio']:.2f} ({line['latency_low']:.2f}-{line['latency_high']:.2f})",
        *spent,
    )
