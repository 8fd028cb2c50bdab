"""Finds, for the files that are further off than rounding explains, the node where it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgekit.check.case import Case, Sample
from edgekit.check.differences import first_wrong_node
from edgekit.check.evidence import Bound, KernelGap
from edgekit.check.held_back import Outcome
from edgekit.check.subject import Subject
from edgekit.check.taps import Tap, tap_int8, tap_tflite
from edgekit.errors import EdgekitError
from edgekit.types.artifact import FORMATS
from edgekit.types.report import LsbGap


def find_addresses(case: Case, outcome: Outcome, sample: Sample) -> dict[str, str]:
    """format -> the first node it computes unlike the reference, for the files that are further off than rounding."""
    bound = Bound()
    gaps = [*outcome.references.items(), *((name, kernel.gap) for name, kernel in outcome.kernels.items())]
    suspects = {name for name, gap in gaps if gap is not None and not bound.holds(gap)}
    return {name: where for name in suspects if (where := _find_wrong_node(case.subjects[name], sample))}


def locate(gap: LsbGap, addresses: Mapping[str, str]) -> LsbGap:
    """Give a gap beyond the bound the address of the file at fault."""
    guilty = [name for name in (gap.first, gap.second) if name in addresses]
    if Bound().holds(gap) or not guilty:
        return gap
    of_two_files = f" (in {guilty[0]})" if gap.second in FORMATS else ""
    return replace(gap, where=f"{addresses[guilty[0]]}{of_two_files}")


def locate_kernel(kernel: KernelGap, addresses: Mapping[str, str]) -> KernelGap:
    """The same for what a runtime's kernels made of a file."""
    return kernel if kernel.gap is None else replace(kernel, gap=locate(kernel.gap, addresses))


def _find_wrong_node(subject: Subject, sample: Sample) -> str:
    """As `first_wrong_node`; "" also for files whose inner values cannot be read."""
    path, quantized = subject.artifact.path, subject.quantized

    def open_tap(names: Sequence[str]) -> Tap:
        if subject.artifact.is_tflite:
            return tap_tflite(path, quantized, names)
        return tap_int8(path, quantized, names, optimize=True)

    try:
        return first_wrong_node(open_tap, quantized, sample)
    except EdgekitError:
        return ""
