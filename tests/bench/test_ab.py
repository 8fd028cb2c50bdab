"""The wall-time gate: its decisions on simulated processes, and a real comparison on this machine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planted import plant
from edgekit.bench.ab import MIN_PROCESSES, compare_wall, early_verdict, final_verdict
from edgekit.bench.jobs import Subject
from edgekit.devices.local import LocalDevice
from edgekit.types.gate import GateRecipe, Verdict

RECIPE = GateRecipe()


def decide(rng: np.random.Generator, *, change: float, scatter: float, most: int) -> Verdict:
    """What the gate does, with processes whose ratios are drawn."""
    logs: list[float] = []
    while True:
        logs.append(float(np.log1p(change) + rng.normal(0, scatter)))
        if len(logs) >= MIN_PROCESSES:
            verdict = early_verdict(logs, RECIPE)
            if verdict:
                return verdict
            if len(logs) >= most:
                return final_verdict(logs, RECIPE)


@pytest.mark.parametrize("scatter", [0.002, 0.005, 0.01, 0.02])
def test_no_false_alarm_and_no_missed_slowdown(scatter: float) -> None:
    """1000 gates each: scatters of processes as they were seen on shared machines, ten processes at most."""
    rng = np.random.default_rng(0)
    same = [decide(rng, change=0.0, scatter=scatter, most=10) for _ in range(1000)]
    slower = [decide(rng, change=0.05, scatter=scatter, most=10) for _ in range(1000)]
    faster = [decide(rng, change=-0.05, scatter=scatter, most=10) for _ in range(1000)]
    assert same.count(Verdict.REGRESSED) <= 5
    assert slower.count(Verdict.REGRESSED) >= (990 if scatter <= 0.01 else 950)
    assert faster.count(Verdict.IMPROVED) >= (980 if scatter <= 0.01 else 930)


def test_a_change_below_the_smallest_effect_passes_however_sure_it_is() -> None:
    logs = [float(np.log1p(0.015)) + step for step in (-1e-4, 0.0, 1e-4, 2e-4, -2e-4)]
    assert early_verdict(logs, RECIPE) is Verdict.PASS


def test_an_estimate_beyond_it_is_no_regression_without_the_interval() -> None:
    logs = [0.1, -0.05, 0.2, -0.1, 0.05]
    assert early_verdict(logs, RECIPE) is None
    assert final_verdict(logs, RECIPE) is Verdict.UNDECIDED


@given(st.lists(st.floats(-0.2, 0.2), min_size=MIN_PROCESSES, max_size=20))
def test_swapping_base_and_head_swaps_the_verdict(logs: list[float]) -> None:
    swapped = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    verdict = early_verdict(logs, RECIPE)
    assert early_verdict([-value for value in logs], RECIPE) is (swapped.get(verdict, verdict) if verdict else None)


@pytest.mark.slow
def test_a_file_with_half_as_much_work_again_is_slower(artifacts: Path, device: LocalDevice, tmp_path: Path) -> None:
    base, head = tmp_path / "base.onnx", tmp_path / "head.onnx"
    plant(artifacts / "net.fp32.onnx", base, channels=0)
    plant(artifacts / "net.fp32.onnx", head, channels=64)
    device.push({"base.onnx": base, "head.onnx": head})
    subjects = Subject("base.onnx", "onnxruntime"), Subject("head.onnx", "onnxruntime")
    found = compare_wall(device, *subjects, GateRecipe(budget_s=30), stop=threading.Event())
    assert found.verdict is Verdict.REGRESSED
    assert found.change.low > 0.1
    assert found.head_ms > found.base_ms
    assert found.processes >= MIN_PROCESSES
