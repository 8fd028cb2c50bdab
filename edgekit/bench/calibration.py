"""How far counts of instructions scatter for one file on one device, and the limit that follows from it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.artifacts import BenchFile
from edgekit.bench.gate import Judge
from edgekit.bench.jobs import Subject
from edgekit.bench.visit import stored_name, stored_parts
from edgekit.devices.device import Device
from edgekit.errors import InputError
from edgekit.types.bench import Kind
from edgekit.types.gate import GateRecipe

SAFETY = 10.0
"""The limit over the spread that was seen: a few counts show a part of what a year of runs will."""
SMALLEST_LIMIT = 0.0005


@dataclass(frozen=True)
class Scatter:
    """Counts of one file, taken as a gate takes them.

    Attributes:
        artifact: Name of the artifact.
        counts: One per repetition.
    """

    artifact: str
    counts: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Largest over smallest count, less 1."""
        return max(self.counts) / min(self.counts) - 1

    @property
    def limit(self) -> float:
        """What the recipe should say, rounded up to a hundredth of a percent."""
        return math.ceil(max(SMALLEST_LIMIT, SAFETY * self.spread) * 1e4) / 1e4


def calibrate(
    device: Device, files: Sequence[BenchFile], *, repeats: int, stop: threading.Event, advance: Callable[[], None]
) -> tuple[Scatter, ...]:
    """Count each file several times.

    Args:
        device: Opened, and able to count.
        files: The artifacts.
        repeats: Counts per artifact, at least 2.
        stop: Ends it when set.
        advance: Called after each count.

    Raises:
        InputError: The device does not count.
        DeviceError: It was lost, or cannot run a file.
        StoppedError: `stop` was set.
    """
    if device.kind is not Kind.INSTRUCTIONS:
        raise InputError(f"{device.uri} does not count instructions", hint="use --on qemu-system:cortex-a76")
    judge = Judge(device, GateRecipe(), threads=(1,), name=device.uri, stop=stop)
    names = [stored_name(number, file) for number, file in enumerate(files)]
    device.push({NAME: agent_bytes(), **stored_parts(files)})
    found = []
    for name, file in zip(names, files, strict=True):
        counts = []
        for _ in range(repeats):
            counts.append(judge.count(Subject(name, file.artifact.runtime, border=file.border)))
            advance()
        found.append(Scatter(file.artifact.file, tuple(counts)))
    return tuple(found)
