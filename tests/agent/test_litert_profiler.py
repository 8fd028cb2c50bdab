"""Profiles of .tflite files, from the real runtime: names, times, and a runtime that is not as it should be."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import ai_edge_litert
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgekit.agent import litert_profiler
from edgekit.agent.events import RefusalError
from edgekit.agent.litert_profiler import main, profile_tflite
from edgekit.bench.agent_file import agent_bytes
from edgekit.bench.operators import operator_costs
from edgekit.emit.tflite import export
from tests.agent.profiled import DEAR, MODULES, net

RUNS = 12


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("profile") / "model.tflite"
    export.write(net(), written)
    return written


@pytest.fixture(scope="module")
def costs(path: Path) -> list[dict]:
    return profile_tflite(str(path), 1, RUNS)


def test_every_operator_has_its_name_inside_the_delegate_and_outside(costs: list[dict]) -> None:
    names = {cost["name"]: cost["operator"] for cost in costs}
    assert names["block.2/AveragePool"] == "AVERAGE_POOL_2D"
    assert "DWConv" not in names[f"{DEAR}/Conv"]
    assert names[f"{DEAR}/Conv"].startswith("Convolution (NHWC, QC8)")
    assert names["block.3/Conv"].startswith("Fully Connected")  # what XNNPACK makes of a 1x1 convolution
    assert any(operator.startswith("Add") for operator in names.values())
    assert len(names) == len(costs)


def test_the_report_has_the_modules_and_the_dearest_first(costs: list[dict]) -> None:
    found = operator_costs({"operators": costs})
    assert found[0].module == DEAR
    assert MODULES - {cost.module for cost in found} <= {"block.5"}  # the sum is the output, and called so
    assert sum(cost.share for cost in found) == pytest.approx(1)


def test_operators_make_up_the_inference(path: Path, costs: list[dict]) -> None:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    times = []
    for _ in range(40):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    whole_us = float(np.median(times)) * 1e6
    assert 0.3 < sum(cost["mean_us"] for cost in costs) / whole_us < 2.0


def test_the_packed_agent_profiles(path: Path, tmp_path: Path) -> None:
    """Without `site`, which would find this checkout: edgekit is nowhere but in the zip, in both processes."""
    packed = tmp_path / "agent.pyz"
    packed.write_bytes(agent_bytes())
    installed = str(Path(ai_edge_litert.__path__[0]).parent)
    program = (
        f"import sys; sys.path[:0] = [{str(packed)!r}, {installed!r}]\n"
        "from edgekit.agent.litert_profiler import profile_tflite\n"
        f"print(len(profile_tflite({str(path)!r}, 1, 2, python=[sys.executable, '-S'])))"
    )
    words = [sys.executable, "-S", "-c", program]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 5


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)))
    with pytest.raises(RefusalError, match=r"cannot profile|signal") as refused:
        profile_tflite(str(path), 1, 2)
    assert refused.value.kind == "no-profile"


def ending(program: str) -> list[str]:
    """Words that start a Python which ends its own way."""
    return [sys.executable, "-c", program]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("import sys; sys.exit('LiteRtCreateOptions gives status 3')", "gives status 3"),
        ("print('INFO: no JSON')", "without an answer"),
        ("", "without an answer"),
    ],
)
def test_the_agent_outlives_the_profiler(program: str, reason: str) -> None:
    with pytest.raises(RefusalError, match=reason):
        profile_tflite("model.tflite", 1, 2, python=ending(program))


def test_it_does_not_wait_forever() -> None:
    with pytest.raises(RefusalError, match="longer than 1 s"):
        profile_tflite("model.tflite", 1, 2, python=ending("import time; time.sleep(30)"), limit_s=1)


def test_a_python_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="no second Python"):
        profile_tflite("model.tflite", 1, 2, python=[str(tmp_path / "python")])


def test_a_runtime_without_a_profiler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(litert_profiler, "find_spec", lambda _: None)
    monkeypatch.delattr("signal.alarm")
    assert main(["model.tflite", "1", "2", "5"]) == 1
    assert "no profiler" in capsys.readouterr().err


def test_events_of_another_layout_are_not_read(path: Path) -> None:
    program = (
        "import ctypes, sys\n"
        "from edgekit.agent import litert_library, litert_profiler\n"
        "fields = litert_library._RawEvent._fields_\n"
        "fields = (*fields[:4], ('memory', ctypes.c_uint64 * 4), *fields[5:])\n"
        "litert_library._RawEvent = type('Other', (ctypes.Structure,), {'_fields_': fields})\n"
        "sys.exit(litert_profiler.main(sys.argv[3:]))"
    )
    with pytest.raises(RefusalError, match="this agent knows events of 88 bytes"):
        profile_tflite(str(path), 1, 2, python=ending(program))
