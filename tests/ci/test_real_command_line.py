"""The action and the sample workflow with the `edgekit` that is installed here, on real files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.bench.history import History
from edgekit.report.bench.document import read_file
from edgekit.report.bench.files import BENCH_FILES, GATE_FILES
from tests.ci.conftest import ROOT, Desk
from tests.ci.test_github_workflow import FOLDER, PULL_REQUEST, WORKFLOW

PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def real(desk: Desk) -> Desk:
    """A desk on which `edgekit` and `python` are those of this environment."""
    assert (PROGRAMS / "edgekit").is_file()
    desk.executor.environment["PATH"] = os.pathsep.join([str(PROGRAMS), "/usr/bin", "/bin"])
    return desk


def write_net(path: Path, layers: int) -> None:
    """A chain of matrix multiplications; its cost grows with its layers."""
    random = np.random.default_rng(0)
    weights = [numpy_helper.from_array(random.random((64, 64), np.float32) / 64, f"w{n}") for n in range(layers)]
    nodes = [helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"x{n + 1}"]) for n in range(layers)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_the_sample_workflow_passes_a_pull_request_that_changes_nothing(real: Desk) -> None:
    checked_out = real.foreign

    def check_out(action: str, given: object) -> None:
        checked_out(action, given)  # type: ignore[arg-type]
        if action == "actions/checkout":
            place = real.workspace / given["path"]  # type: ignore[index]
            write_net(place / "models" / "net.onnx", 2)
            (place / "gate.toml").write_text((FOLDER / "gate.toml").read_text())

    real.executor.foreign = check_out
    run = real.executor.run_workflow(WORKFLOW, PULL_REQUEST)["gate"]
    assert run.code == 0, run.log
    assert "edgekit says passed, see edgekit-bench/gate.json" in run.log
    judged = json.loads((real.workspace / "edgekit-bench" / "gate.json").read_text())
    assert {one["artifact"] for one in judged["judgements"]} == {"net.onnx"}
    assert "passed" in real.summary
    assert real.uploads == {"edgekit-bench": sorted(GATE_FILES)}


def test_the_action_fails_a_file_that_grew(real: Desk) -> None:
    write_net(real.workspace / "old" / "net.onnx", 2)
    write_net(real.workspace / "new" / "net.onnx", 3)
    run = real.executor.run_action(ROOT, {"base": "old", "head": "new", "extra-args": "--budget 5"})
    assert run.code == 4, run.log
    assert run.outputs["verdict"] == "failed"
    judged = json.loads((real.workspace / run.outputs["report"]).read_text())["judgements"]
    (size,) = [one for one in judged if one["measure"] == "size"]
    assert size["verdict"] == "regressed"
    assert "| ✗ regressed | `net.onnx` |" in real.summary


def test_the_action_tells_what_it_could_not_judge(real: Desk) -> None:
    run = real.executor.run_action(ROOT, {"base": "old", "head": "new"})
    assert run.code == 2, run.log
    assert run.outputs == {"verdict": "error", "report": "", "page": ""}
    assert "exit code 2" in real.summary


def test_the_action_measures_and_remembers(real: Desk) -> None:
    """Valid or not is for the machine to say; both ways everything is written, and only the valid is remembered."""
    write_net(real.workspace / "models" / "net.onnx", 2)
    given = {"artifacts": "models", "history": "history.sqlite", "extra-args": "--duration 0.05"}
    run = real.executor.run_action(ROOT, given)
    report = read_file(real.workspace / run.outputs["report"])
    valid = [one for one in report.measurements if one.valid]
    assert run.code == (0 if len(valid) == len(report.measurements) else 4), run.log
    assert real.uploads == {"edgekit-bench": sorted(BENCH_FILES)}
    assert (real.workspace / run.outputs["page"]).is_file()
    with History(real.workspace / "history.sqlite") as history:
        points = history.points_for(report)
    assert [point.revision for point in points] == ["0" * 40] * len(valid)
    assert list(report.history) == list(points)
