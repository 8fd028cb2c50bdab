"""The rules: bit for bit where kernels compute the same, steps where they round, a share where they compute floats."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import CheckError
from edgekit.pack.borders import Border, lies_on_grid
from edgekit.pack.golden import choose_rule, gap_lsb, judge, reported_lsb
from edgekit.runtime.agent_process import Trial
from edgekit.types.manifest import Mode, Rule
from edgekit.types.report import LsbGap
from edgekit.types.spec import TensorSpec

ON_GRID = TensorSpec("y", (1, 4), scale=0.5, zero_point=0)
STEPS = {"y": np.array([[[-1.0, 0.5, 2.0, 0.0]]], np.float32)}
FREE = TensorSpec("y", (1, 4))


def rule(format: str, spec: TensorSpec, measured: int = 0, integers: bool = True) -> Rule:
    return choose_rule(format, "r", [spec], STEPS, measured_lsb=measured, is_all_integer=integers)


def test_the_file_for_audits_is_compared_bit_for_bit() -> None:
    assert rule("onnx-qop", ON_GRID, measured=3) == Rule("r", Mode.EXACT)
    assert rule("onnx-qop", ON_GRID, integers=False).mode is Mode.LSB


@pytest.mark.parametrize(("measured", "bound"), [(0, 2.0), (1, 2.0), (3, 4.0), (255, 127.0)])
def test_others_may_be_a_step_further_off_than_was_measured(measured: int, bound: float) -> None:
    assert rule("onnx-x86", ON_GRID, measured=measured) == Rule("r", Mode.LSB, bound)


def test_floats_may_differ_by_a_share_of_the_largest_answer() -> None:
    assert rule("onnx-fp32", FREE) == Rule("r", Mode.ATOL, 0.002)
    assert rule("onnx-int4", FREE) == Rule("r", Mode.ATOL, 0.002)
    assert rule("onnx-int8", FREE) == Rule("r", Mode.ATOL, 0.1)


def test_class_numbers_are_compared_as_they_are() -> None:
    labels = TensorSpec("y", (1,), "int64")
    found = choose_rule(
        "onnx-int8", "r", [labels], {"y": np.zeros((1, 1), np.int64)}, measured_lsb=2, is_all_integer=True
    )
    assert found.mode is Mode.EXACT


def test_the_report_says_how_far_apart_kernels_are() -> None:
    def gap(first: str, second: str, lsb: int) -> LsbGap:
        return LsbGap(first, second, lsb, 1.0, 10, 1)

    pairs = [gap("a", "b", 2), gap("b", "c", 5)]
    assert reported_lsb("a", gap("a", "reference", 3), pairs) == 3
    assert reported_lsb("a", None, pairs) == 2
    assert reported_lsb("d", None, pairs) == 0


def test_gaps_are_counted_in_steps() -> None:
    other = {"y": STEPS["y"] + np.float32(1.0)}
    assert gap_lsb([ON_GRID], STEPS, other) == 2
    assert gap_lsb([FREE], STEPS, other) == 0
    assert gap_lsb([ON_GRID], STEPS, {"y": STEPS["y"].astype(np.int8)}) == 0


def trial(array: np.ndarray) -> Trial:
    return Trial({"y": array}, 0, {})


def test_a_file_must_say_the_same_twice_and_only_numbers() -> None:
    border = Border((), (ON_GRID,))
    assert judge(trial(STEPS["y"]), trial(STEPS["y"]), border, name="m") == (ON_GRID,)
    with pytest.raises(CheckError, match=r"does not answer the same twice.*up to 1"):
        judge(trial(STEPS["y"]), trial(STEPS["y"] + 1), border, name="m")
    with pytest.raises(CheckError, match="NaN"):
        judge(trial(STEPS["y"] * np.nan), trial(STEPS["y"]), border, name="m")


def test_a_scale_stays_only_where_answers_lie_on_its_grid() -> None:
    off = STEPS["y"] + np.float32(0.2)
    (spec,) = judge(trial(off), trial(off), Border((), (ON_GRID,)), name="m")
    assert (spec.scale, spec.zero_point) == (None, None)
    assert lies_on_grid(np.zeros(3, np.int8), None)
    assert not lies_on_grid(STEPS["y"], None)
