"""The scripts in `examples/` run as they are, and end with files that are small and right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^(\S+) +(\d+) bytes  accuracy (0\.\d+|1\.0+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("script", "least"), [("plain_torch.py", 0.93), ("lightning_digits.py", 0.93), ("transformers_digits.py", 0.8)]
)
def test_an_example_runs(script: str, least: float) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, f"examples/{script}"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {name: (int(size), float(score)) for name, size, score in ROW.findall(done.stdout)}
    assert {"onnx-fp32", "onnx-int8", "tflite-int8"} <= set(rows)
    assert rows["onnx-int8"][0] < 0.6 * rows["onnx-fp32"][0]
    assert all(score > least for _, score in rows.values()), rows
    assert rows["onnx-int8"][1] > rows["onnx-fp32"][1] - 0.02
