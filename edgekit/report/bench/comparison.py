"""What devices computed from the same inputs, in words: equal to the bit, or how far apart."""

from __future__ import annotations

from edgekit.report.bench.wording import NONE
from edgekit.types.bench import BenchReport, OutputCheck
from edgekit.units import share

COLUMNS = ("artifact", "device", "against", "outputs", "largest difference", "differing", "top-1", "sha256")


def compared(report: BenchReport) -> tuple[OutputCheck, ...]:
    """Checks against another device, and those that failed."""
    return tuple(check for check in report.outputs if check.device != check.reference or check.error)


def cells_of(check: OutputCheck) -> tuple[str, ...]:
    """One cell per column of COLUMNS."""
    is_reference = check.device == check.reference
    where = NONE if is_reference else check.reference
    if check.error:
        return (check.artifact, check.device, where, check.error, NONE, NONE, NONE, NONE)
    return (
        check.artifact,
        check.device,
        where,
        "reference" if is_reference else "equal to the bit" if check.equal else "differ",
        NONE if check.equal else largest(check),
        NONE if check.equal else share_differing(check),
        NONE if check.top1 is None else share(check.top1),
        check.digest[:12] or NONE,
    )


def largest(check: OutputCheck) -> str:
    """Largest difference, in LSB where the output has a grid."""
    steps = max((abs(step) for step in steps_of(check)), default=None)
    return f"{check.max_abs:.3g}" if steps is None else f"{steps} LSB"


def share_differing(check: OutputCheck) -> str:
    """Share of elements that differ by an LSB or more."""
    steps = steps_of(check)
    total = sum(steps.values())
    return share(1 - steps.get(0, 0) / total) if total else NONE


def steps_of(check: OutputCheck) -> dict[int, int]:
    """Difference in LSB -> how many elements, in order; keys that are no integers are left out."""
    found = {int(step): count for step, count in check.lsb.items() if step.removeprefix("-").isdecimal()}
    return dict(sorted(found.items()))
