"""Does the int8 file say what the float model says? EfficientNet-Lite0 on 800 photos that never calibrated.

    python -m benchmarks.agreement [--photos 800]

Calibrated on 200 other photos, effort `balanced`. Latency is the median of per-round ratios to the float file, all
files taking turns in one process, one thread. The rival is onnxruntime's default (`quantize_static`, min-max, per
channel) on the same file.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import lite0, photos, table

FILES = {
    "model.x86.int8.onnx": "edgekit, `model.x86.int8.onnx`",
    "model.int8.onnx": "edgekit, `model.int8.onnx`",
    "model.qop.int8.onnx": "edgekit, `model.qop.int8.onnx`",
    "model.int8.tflite": "edgekit, `model.int8.tflite`",
    "model.onnxruntime.onnx": "onnxruntime `quantize_static`",
}


def main() -> None:
    """Compress with both tools, score, time, keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=800, help="how many photos to score on")
    count = parser.parse_args().photos
    if not photos.available():
        sys.exit("the photos of ../shared/data are not here; this benchmark needs them")
    os.environ["EDGEKIT_FLOAT_ONNX"] = str(lite0.float_onnx())
    from benchmarks.child import run_edgekit, run_onnxruntime
    from edgekit.check.machine import describe_machine

    with tempfile.TemporaryDirectory() as folder:
        run_edgekit(200, Path(folder), "balanced")
        run_onnxruntime(200, Path(folder))
        scores = _score(Path(folder), count)
    machine = describe_machine()
    data = {
        "machine": {"cpu": machine.cpu, "isa": list(machine.isa), "runtimes": machine.runtimes},
        "photos": count,
        "files": scores,
    }
    rows = [
        (
            FILES[name],
            f"{score['size_mb']:.1f}",
            f"{score['sqnr_db']:.1f}",
            f"{score['agreement']:.3f}",
            f"{score['latency_ratio']:.2f} ({score['latency_low']:.2f}-{score['latency_high']:.2f})",
        )
        for name, score in scores.items()
    ]
    text = table.markdown((f"{count} photos", "MB", "SQNR dB", "agreement with float", "time of float's"), rows)
    table.keep("agreement", data, text)
    print(text)


def _open(path: Path) -> Any:
    from edgekit.runtime.litert import open_tflite
    from edgekit.runtime.ort import open_onnx

    return open_tflite(path) if path.suffix == ".tflite" else open_onnx(path)


def _score(folder: Path, count: int) -> dict[str, dict[str, float]]:
    sessions = {name: _open(folder / name) for name in ("model.fp32.onnx", *FILES)}
    same = dict.fromkeys(FILES, 0)
    noise = dict.fromkeys(FILES, 0.0)
    signal = 0.0
    for photo in itertools.islice(photos.scoring(), count):
        results = {name: _logits(session, photo) for name, session in sessions.items()}
        exact = results["model.fp32.onnx"]
        signal += float((exact**2).sum())
        for name in FILES:
            same[name] += int(results[name].argmax() == exact.argmax())
            noise[name] += float(((results[name] - exact) ** 2).sum())
    ratios = _latencies(sessions, photo)
    return {
        name: {
            "agreement": same[name] / count,
            "sqnr_db": 10 * float(np.log10(signal / noise[name])),
            "size_mb": (folder / name).stat().st_size / 1e6,
            **ratios[name],
        }
        for name in FILES
    }


def _logits(session: Any, photo: np.ndarray) -> np.ndarray:
    (result,) = session.run({session.inputs[0].name: photo}).values()
    return np.asarray(result, np.float64)


def _latencies(sessions: dict[str, Any], photo: np.ndarray) -> dict[str, dict[str, float]]:
    from edgekit.check.latency import measure

    feeds = {name: {session.inputs[0].name: photo} for name, session in sessions.items()}
    runs = {name: (lambda name=name: sessions[name].run(feeds[name])) for name in sessions}
    found = measure(runs, baseline="model.fp32.onnx", budget_seconds=60.0)
    return {
        name: {
            "latency_ratio": found[name].ratio.estimate,
            "latency_low": found[name].ratio.low,
            "latency_high": found[name].ratio.high,
        }
        for name in FILES
    }


if __name__ == "__main__":
    main()
