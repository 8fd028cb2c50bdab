"""edgekit itself, started like everyone else: the float file, the calibration inputs, one setting, the effort."""

from __future__ import annotations

from benchmarks.clock import CpuClock
from benchmarks.peers.task import Task
from edgekit.pipeline import compress as compress_model
from edgekit.types.recipe import Recipe

SAMPLES = 200
"""All that the race hands out; edgekit splits off what its own check needs."""
HELD_BACK = 0.1
CHECK_SECONDS = 2.0
"""The check is no part of the race; its cost is reported apart."""


def compress(task: Task, setting: str) -> dict[str, float]:
    """Write all files into the folder; CPU seconds of each stage, `check` among them.

    Args:
        task: The net and its samples.
        setting: An effort, and after a "+" the least SQNR, dB.
    """
    effort, _, least = setting.partition("+")
    recipe = Recipe().with_fields(
        {
            "quantize.effort": effort,
            **({"budget.min_sqnr": float(least)} if least else {}),
            "calibration.samples": SAMPLES,
            "calibration.held_back": HELD_BACK,
            "check.seconds": CHECK_SECONDS,
        }
    )
    clock = CpuClock()
    compress_model(task.float_onnx, calibration=task.samples(), out=task.out, recipe=recipe, progress=clock)
    return clock.seconds
