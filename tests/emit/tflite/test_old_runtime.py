"""tflite-runtime 2.14 (2023), in its own environment: every file loads there and says the same."""

from __future__ import annotations

import os
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit.emit.tflite import export
from edgekit.runtime.reference import ReferenceSession, as_float
from edgekit.testing.exporter_check import LSB_BOUNDS, difference
from edgekit.testing.single_op import catalogue
from tests.emit.tflite.sketch import Sketch

ROOT = Path(__file__).parents[3]

_RUN = """
import pickle, sys
from pathlib import Path
from edgekit.runtime import litert
assert not litert.CHECKS_FILES, "this is not tflite-runtime"
litert.CHECKS_FILES = True  # these are our own files; the trial in another process is tested by itself
folder = Path(sys.argv[1])
feeds = pickle.loads((folder / "feeds.pickle").read_bytes())
results = {name: litert.open_tflite(folder / f"{name}.tflite").run(given) for name, given in feeds.items()}
(folder / "results.pickle").write_bytes(pickle.dumps(results))
"""

_REFUSE = """
import sys
from pathlib import Path
from edgekit.errors import ModelLoadError
from edgekit.runtime.litert import open_tflite
path = Path(sys.argv[1])
contents = path.read_bytes()
open_tflite(path)
for size in (len(contents) // 2, len(contents) - 600):
    path.write_bytes(contents[:size])
    try:
        open_tflite(path)
    except ModelLoadError as error:
        print(error)
"""


def _run(python: Path, code: str, argument: Path) -> str:
    command = [str(python), "-c", code, str(argument)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_case_of_the_catalogue_is_within_a_step(tflite_runtime_python: Path, tmp_path: Path) -> None:
    cases = {}
    for number, case in enumerate(catalogue()):
        cases[f"{number}-int8"] = case
        cases[f"{number}-float"] = replace(case, quantized=as_float(case.quantized.graph))
    for name, case in cases.items():
        export.write(case.quantized, tmp_path / f"{name}.tflite")
    feeds = {name: dict(case.feeds) for name, case in cases.items()}
    (tmp_path / "feeds.pickle").write_bytes(pickle.dumps(feeds, protocol=4))
    _run(tflite_runtime_python, _RUN, tmp_path)
    results = pickle.loads((tmp_path / "results.pickle").read_bytes())
    apart = {
        name: difference(case.quantized, results[name], ReferenceSession(case.quantized).run(case.feeds))
        for name, case in cases.items()
    }
    assert len(apart) == 2 * len(catalogue())
    wrong = {f"{name} {cases[name]}": steps for name, steps in apart.items() if steps > LSB_BOUNDS[cases[name].op]}
    assert not wrong


def test_a_net_is_within_two_steps(tflite_runtime_python: Path, tmp_path: Path) -> None:
    """Its kernels round a sum twice (gemmlowp), so a few layers add up to two steps."""
    sketch = Sketch()
    stem = sketch.conv(sketch.input(1, 3, 12, 12), 8, kernel=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1), clamp=(0, 6))
    deep = sketch.conv(stem, 8, kernel=(3, 3), pads=(1, 1, 1, 1), group=8, clamp=(0, 6))
    joined = sketch.node("Concat", sketch.node("Add", stem, sketch.conv(deep, 8)), deep, axis=1)
    gate = sketch.node("Sigmoid", sketch.conv(sketch.node("GlobalAveragePool", joined), 16))
    flat = sketch.node("Reshape", sketch.node("Mul", joined, gate), shape=(1, 576))
    result = sketch.gemm(flat, 10)
    quantized = sketch.int8(result)
    export.write(quantized, tmp_path / "net.tflite")
    (tmp_path / "feeds.pickle").write_bytes(pickle.dumps({"net": sketch.feeds()}, protocol=4))
    _run(tflite_runtime_python, _RUN, tmp_path)
    output = pickle.loads((tmp_path / "results.pickle").read_bytes())["net"][result]
    expected = ReferenceSession(quantized).run(sketch.feeds())[result]
    assert np.abs(output - expected).max() <= 2.01 * float(quantized.qparams[result].scale)


def test_an_output_that_depends_on_no_input_is_computed_there(tflite_runtime_python: Path, tmp_path: Path) -> None:
    sketch = Sketch()
    other = sketch.gemm(sketch.input(1, 4), 6)
    fixed = sketch.node("Reshape", sketch.weight(2, 5), shape=(2, 5))
    graphs = {"beside": sketch.int8(other, fixed), "only": sketch.int8(fixed), "float": sketch.float(fixed)}
    for name, quantized in graphs.items():
        export.write(quantized, tmp_path / f"{name}.tflite")
    (tmp_path / "feeds.pickle").write_bytes(pickle.dumps(dict.fromkeys(graphs, sketch.feeds()), protocol=4))
    _run(tflite_runtime_python, _RUN, tmp_path)
    results = pickle.loads((tmp_path / "results.pickle").read_bytes())
    for name, quantized in graphs.items():
        expected = ReferenceSession(quantized).run(sketch.feeds())[fixed]
        np.testing.assert_allclose(results[name][fixed], expected, rtol=1e-6)


def test_a_damaged_file_is_refused_there_too(tflite_runtime_python: Path, tmp_path: Path) -> None:
    """The runtime itself dies of it."""
    sketch = Sketch()
    result = sketch.gemm(sketch.node("Reshape", sketch.conv(sketch.input(1, 3, 8, 8), 16), shape=(1, 1024)), 4)
    export.write(sketch.float(result), tmp_path / "model.tflite")
    assert _run(tflite_runtime_python, _REFUSE, tmp_path / "model.tflite").count("model.tflite") == 2
