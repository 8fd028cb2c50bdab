"""One measured process: compress the float file with one tool, print what it cost as JSON.

    python -m benchmarks.child balanced 200 OUT
    python -m benchmarks.child onnxruntime 200 OUT

CPU seconds are user + system of this process from the first import of the tool to its last byte written; memory is
the peak resident set. The photos are decoded by the same code for both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.clock import CpuClock
from benchmarks.peers.child import peak_mb

FLOAT = Path(os.environ["EDGEKIT_FLOAT_ONNX"])


def run_edgekit(samples: int, out: Path, effort: str) -> dict[str, float]:
    """Lint, calibrate, climb, write all five files; `check` is timed apart, the rival has none."""
    from benchmarks import photos
    from edgekit.pipeline import compress
    from edgekit.types.recipe import CalibrationSettings, QuantizeSettings, Recipe

    total = round(samples / 0.9)
    os.environ["EDGEKIT_PHOTOS"] = str(total)
    clock = CpuClock()
    settings = CalibrationSettings(samples=total, held_back=0.1)
    recipe = Recipe(calibration=settings, quantize=QuantizeSettings(effort=effort))
    compress(FLOAT, calibration=photos.calibration(), out=out, recipe=recipe, progress=clock)
    return clock.seconds


def run_onnxruntime(samples: int, out: Path) -> dict[str, float]:
    """`quantize_static`, min-max, per channel, QDQ: one ONNX file."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    from benchmarks import photos

    os.environ["EDGEKIT_PHOTOS"] = str(samples)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.photos = photos.calibration()

        def get_next(self) -> dict[str, object] | None:
            return next(({"image": photo} for photo in self.photos), None)

    out.mkdir(parents=True, exist_ok=True)
    quantize_static(FLOAT, out / "model.onnxruntime.onnx", Reader(), per_channel=True)
    return {}


def main() -> None:
    """Run the tool named on the command line."""
    tool, samples, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    start, wall = time.process_time(), time.perf_counter()
    stages = run_onnxruntime(samples, out) if tool == "onnxruntime" else run_edgekit(samples, out, tool)
    result = {
        "tool": tool,
        "samples": samples,
        "cpu_seconds": time.process_time() - start,
        "wall_seconds": time.perf_counter() - wall,
        "peak_mb": peak_mb(),
        "stages_cpu_seconds": stages,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
