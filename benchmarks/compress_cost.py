"""CPU seconds and peak memory of compressing EfficientNet-Lite0, against onnxruntime's own quantizer.

    python -m benchmarks.compress_cost [--rounds 3]

Each measurement is a process of its own; the tools take turns, so a busy machine hurts both. onnxruntime's
`quantize_static` (min-max, per channel) writes one file; edgekit lints the data, climbs as far as its effort allows,
writes five, and then checks them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import lite0, photos, table
from edgekit.check.machine import describe_machine

RACE = 200
"""Calibration photos of the race."""
FLATNESS = (50, 200, 800)
"""Calibration photos at which the memory of effort `fast` is read."""
EFFORTS = ("fast", "balanced", "thorough")


def main() -> None:
    """Run all measurements and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="times each tool runs the race")
    rounds = parser.parse_args().rounds
    if not photos.available():
        sys.exit("the photos of ../shared/data are not here; this benchmark needs them")
    race = [_measure(tool, RACE) for _ in range(rounds) for tool in ("onnxruntime", *EFFORTS)]
    memory = [_measure("fast", count) for count in FLATNESS if count != RACE]
    machine = describe_machine()
    data = {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa), "cores": machine.cores, "runtimes": machine.runtimes},
        "race": race,
        "memory": [*memory, *(run for run in race if run["tool"] == "fast")],
    }
    text = _tables(data)
    table.keep("compress_cost", data, text)
    print(text)


def _measure(tool: str, samples: int) -> dict[str, Any]:
    environment = {**os.environ, "EDGEKIT_FLOAT_ONNX": str(lite0.float_onnx())}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.child", tool, str(samples), str(Path(folder) / "out")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    cost = result["cpu_seconds"]
    print(f"{tool}, {samples} photos: {cost:.1f} CPU s, {result['peak_mb']:.0f} MB", file=sys.stderr)
    return result


def _tables(data: dict[str, Any]) -> str:
    runs = {tool: [run for run in data["race"] if run["tool"] == tool] for tool in ("onnxruntime", *EFFORTS)}
    rival = statistics.median(run["cpu_seconds"] for run in runs["onnxruntime"])
    rows = [
        ("`onnxruntime.quantization.quantize_static`, min-max", "1", f"{rival:.1f}", "1.00", _peak(runs["onnxruntime"]))
    ]
    for effort in EFFORTS:
        cost = statistics.median(run["cpu_seconds"] - run["stages_cpu_seconds"]["check"] for run in runs[effort])
        rows.append((f"edgekit `{effort}`", "5", f"{cost:.1f}", f"{cost / rival:.2f}", _peak(runs[effort])))
        if effort == "balanced":
            whole = statistics.median(run["cpu_seconds"] for run in runs[effort])
            title = "the same, check and report too"
            rows.append((title, "5", f"{whole:.1f}", f"{whole / rival:.2f}", _peak(runs[effort])))
    race = table.markdown(("200 photos", "files", "CPU s", "of onnxruntime's", "peak MB"), rows)
    peaks = {
        count: statistics.median(run["peak_mb"] for run in data["memory"] if run["samples"] == count)
        for count in FLATNESS
    }
    spread = (max(peaks.values()) - min(peaks.values())) / statistics.mean(peaks.values()) / 2
    flat = table.markdown(
        ("edgekit `fast`, peak memory", *(f"{count} photos" for count in FLATNESS), "spread"),
        [("MB", *(f"{peak:.0f}" for peak in peaks.values()), f"+-{spread * 100:.1f} %")],
    )
    return f"{race}\n\n{flat}"


def _peak(runs: list[dict[str, Any]]) -> str:
    return f"{max(run['peak_mb'] for run in runs):.0f}"


if __name__ == "__main__":
    main()
