"""Profiles of .onnx files: from the real runtime, and from event files as they are and as they might become."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgekit.agent.events import RefusalError
from edgekit.agent.ort_profiler import WARMUP_RUNS, node_costs, profile_onnx
from edgekit.bench.operators import operator_costs
from edgekit.emit.exporter import emit, float_artifact
from edgekit.runtime.ort import session_entries, session_options
from tests.agent.profiled import DEAR, MODULES, net

RUNS = 12
CPU = ["CPUExecutionProvider"]
FEEDS = {"x0": np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)}


def options(path: Path | None = None) -> onnxruntime.SessionOptions:
    """Quiet, sequential, and what the file asks for."""
    made = session_options()
    if path:
        metadata = onnxruntime.InferenceSession(str(path), made, providers=CPU).get_modelmeta().custom_metadata_map
        for key, value in session_entries(metadata).items():
            made.add_session_config_entry(key, value)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("profile")
    quantized = net()
    float_artifact(quantized.graph, made / "onnx-fp32", metadata={})
    for format in ("onnx-int8", "onnx-qop", "onnx-x86"):
        emit(quantized, made / format, format=format, metadata={})
    return made


@pytest.mark.parametrize("format", ["onnx-fp32", "onnx-int8", "onnx-qop", "onnx-x86"])
def test_modules_of_every_file(folder: Path, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    costs = profile_onnx(str(folder / format), options(folder / format), CPU, FEEDS, RUNS)
    found = operator_costs({"operators": costs})
    assert MODULES - {cost.module for cost in found} <= {"block.5"}  # the sum may be part of a convolution
    assert next(cost for cost in found if cost.module).module == DEAR
    assert list(tmp_path.iterdir()) == []


def test_operators_make_up_the_inference(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(folder / "onnx-fp32")
    session = onnxruntime.InferenceSession(path, options(), providers=CPU)
    times = []
    for _ in range(40):
        start = time.perf_counter()
        session.run(None, FEEDS)
        times.append(time.perf_counter() - start)
    whole_us = float(np.median(times)) * 1e6
    assert 0.3 < sum(cost["mean_us"] for cost in profile_onnx(path, options(), CPU, FEEDS, RUNS)) / whole_us < 2.5


def kernel(name: str, took: object, operator: str = "Conv", index: str = "0") -> dict:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": took,
        "args": {"op_name": operator, "node_index": index, "provider": "CPUExecutionProvider"},
    }


def test_warm_up_does_not_count() -> None:
    events = [kernel("a/Conv", 900)] * WARMUP_RUNS + [kernel("a/Conv", 4)] * 3 + [kernel("a/Conv", 6)]
    assert node_costs(events, 4) == [{"name": "a/Conv", "operator": "Conv", "mean_us": 4.0}]


def test_runs_of_a_loop_add_up_and_a_rare_branch_is_spread() -> None:
    inferences = WARMUP_RUNS + 4
    events = [kernel("loop", took) for _ in range(inferences) for took in (2, 3)] + [kernel("branch", 18)]
    assert {cost["name"]: cost["mean_us"] for cost in node_costs(events, 4)} == {"loop": 5, "branch": 18 / inferences}


def test_nodes_of_one_name_stay_apart() -> None:
    events = [kernel("Transpose", 2, index=index) for index in ("3", "9")] * (WARMUP_RUNS + 1)
    assert len(node_costs(events, 1)) == 2


def test_foreign_events_are_left_out() -> None:
    strange = [
        None,
        7,
        {"name": "model_run", "dur": 40, "cat": "Session"},
        {"name": "a_fence_before", "dur": 1, "args": {"op_name": "Conv"}},
        {"name": "a_kernel_time", "dur": 1},
        {"name": "a_kernel_time", "args": {"op_name": "Conv"}},
        {"name": "a_kernel_time", "dur": "soon", "args": {"op_name": "Conv"}},
        {"name": "a_kernel_time", "dur": 1, "args": {}},
        {"dur": 1},
    ]
    events = [*strange, *[kernel("b", 5)] * (WARMUP_RUNS + 1)]
    assert [cost["name"] for cost in node_costs(events, 1)] == ["b"]
    with pytest.raises(RefusalError, match="names no operators"):
        node_costs(strange, 1)


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", ("TensorrtExecutionProvider", {})])
def test_launches_are_no_costs(provider: object) -> None:
    with pytest.raises(RefusalError, match="launch"):
        profile_onnx("model.onnx", options(), [provider, *CPU], FEEDS, RUNS)


def test_a_file_that_cannot_run_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, feeds in (("absent.onnx", FEEDS), (str(folder / "onnx-fp32"), {"x0": FEEDS["x0"][:, :1]})):
        with pytest.raises(RefusalError, match="cannot profile"):
            profile_onnx(file, options(), CPU, feeds, RUNS)
    assert list(tmp_path.iterdir()) == []
