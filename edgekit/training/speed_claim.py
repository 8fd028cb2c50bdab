"""Whether fewer multiply-accumulates are less time: measured, and the claim refused where they are not.

Kernels work on many channels at once, and a net has work that no channel count changes (additions of the residual
stream, pooling, the first layer's input), so half of the MACs is hardly ever half of the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from edgekit.shrink.pruning.tracing import Example
from edgekit.training.int8_timing import Int8Timer
from edgekit.types.finding import Finding, Severity

LEAST = 0.8
"""Share of the MAC ratio that the measured speedup has to reach."""


def measure_speed(
    original: nn.Module,
    pruned: nn.Module,
    example: Example,
    inputs: Iterable[Example] | None,
    *,
    workdir: Path,
    seed: int,
) -> float:
    """Time of the pruned module's int8 file as a share of the original's: this CPU, one thread, batch 1, in turns.

    Args:
        original: The module before pruning.
        pruned: After it.
        example: Arguments of one call.
        inputs: Real batches, for ranges; None takes noise.
        workdir: For files.
        seed: Of the noise.
    """
    return Int8Timer(original, example, inputs, workdir=workdir, seed=seed).ratio(pruned)


def judge_speed(time_share: float, macs_share: float) -> Finding | None:
    """A finding where time does not follow the MACs; None where the claim holds.

    Args:
        time_share: Time after pruning as a share of that before.
        macs_share: The same of multiply-accumulates.

    >>> judge_speed(0.55, 0.5) is None, judge_speed(0.9, 0.5).code
    (True, 'pruned-without-speed')
    """
    faster, fewer = 1 / time_share, 1 / macs_share
    if faster >= LEAST * fewer:
        return None
    what = f"{faster:.2f}x as fast" if faster >= 1 else "slower"
    return Finding(
        "pruned-without-speed",
        f"{fewer:.2f}x fewer multiply-accumulates, but the int8 file is {what} on this CPU (one thread, batch 1): "
        f"{faster / fewer:.0%} of what the count promises, so no speedup of {fewer:.1f}x may be claimed. The kernels "
        "work on 8 to 32 channels at once, and additions, pooling and the input layer cost what they did",
        Severity.WARNING,
        hint="prune for the time itself, --prune latency=0.7, or keep wider layers: --set prune.round_to=16",
    )
