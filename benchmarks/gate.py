"""How often the gate cries wolf, and how often it sleeps.

    python -m benchmarks.gate wall --gates 100
    python -m benchmarks.gate instructions --gates 100

Base is ResNet-20, int8, in ONNX Runtime. Each gate is what `edgekit bench compare` does with two files, once with base
against a copy of itself and once against a copy with more work in it (`benchmarks.planted`). How much more it really is
was measured in a longer comparison beforehand and stands in the table: 5 % is aimed at for wall time, 1 % for
instructions.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import table
from benchmarks.nets.compressed import compressed
from benchmarks.planted import plant
from edgekit.bench.ab import compare_wall
from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.gate import Judge, judge_instructions
from edgekit.bench.jobs import Subject
from edgekit.devices.device import Device
from edgekit.devices.opening import open_device
from edgekit.types.gate import GateJudgement, GateRecipe, Verdict

RECIPE = GateRecipe()
FILE = "model.int8.onnx"
WALL_AIM, COUNT_AIM = 0.05, 0.01
EMULATED = "qemu-system:cortex-a76"
GATES_PER_BOOT = 10
HEADER = ("gates", "verdicts", "measured change", "median change", "seconds each: median", "longest")


@dataclass(frozen=True)
class Gate:
    """One verdict.

    Attributes:
        verdict: What the gate said.
        change: Head over base, less 1.
        seconds: Wall time it took.
    """

    verdict: Verdict
    change: float
    seconds: float


@contextmanager
def opened(uri: str, files: dict[str, Path]) -> Iterator[Device]:
    """A device with the agent and the files in its folder."""
    device = open_device(uri)
    try:
        device.push({NAME: agent_bytes(), **files})
        yield device
    finally:
        device.close()


def subject(name: str) -> Subject:
    """A file in the device's folder."""
    return Subject(name, "onnxruntime")


def wall_gate(base: Path, head: Path, recipe: GateRecipe = RECIPE) -> Gate:
    """One gate of wall time, from opening the device to closing it."""
    began = time.monotonic()
    with opened("local:", {"base.onnx": base, "head.onnx": head}) as device:
        found = compare_wall(device, subject("base.onnx"), subject("head.onnx"), recipe, stop=threading.Event())
    return Gate(found.verdict, found.change.estimate, time.monotonic() - began)


def measured_change(base: Path, head: Path) -> float:
    """Wall time of head over base, less 1, in a comparison that never ends early."""
    precise = GateRecipe(wall_min_effect=0.001, confidence=0.9999, budget_s=90)
    return wall_gate(base, head, precise).change


def sized(
    source: Path, folder: Path, measure: Callable[[Path, Path], float], aim: float, *, stride: int = 1
) -> tuple[Path, Path, float]:
    """Base, and the head whose change is nearest to the aim; by the secant rule, since the first channel is dear."""
    base = folder / "base.onnx"
    plant(source, base, channels=0)
    tries: dict[int, float] = {}
    channels = 40
    while len(tries) < 5 and channels not in tries:
        plant(source, _head(folder, channels), channels=channels, stride=stride)
        tries[channels] = measure(base, _head(folder, channels))
        print(f"{channels} channels cost {tries[channels]:.2%}", flush=True)
        if abs(tries[channels] / aim - 1) < 0.05:
            break
        channels = _next(tries, aim)
    best = min(tries, key=lambda number: abs(tries[number] - aim))
    return base, _head(folder, best), tries[best]


def _head(folder: Path, channels: int) -> Path:
    return folder / f"head{channels}.onnx"


def _next(tries: dict[int, float], aim: float) -> int:
    """Channels where a line through the last two tries meets the aim; a second one on the other side at first."""
    if len(tries) == 1:
        ((channels, change),) = tries.items()
        return max(1, channels // 4 if change > aim else channels * 4)
    (first, low), (second, high) = list(tries.items())[-2:]
    slope = (high - low) / (second - first)
    return max(1, round(second + (aim - high) / slope)) if slope > 0 else second + 1


def wall(gates: int) -> None:
    """Gates of wall time, the two kinds in turn."""
    with TemporaryDirectory() as name:
        base, head, change = sized(compressed("resnet20") / FILE, Path(name), measured_change, WALL_AIM)
        copy = Path(name, "copy.onnx")
        copy.write_bytes(base.read_bytes())
        same, slower = [], []
        for number in range(gates):
            same.append(wall_gate(base, copy))
            slower.append(wall_gate(base, head))
            print(number, same[-1], slower[-1], flush=True)
    _keep("gate_wall", [("a file against itself", 0.0, same), (f"{change:.1%} more time", change, slower)])


def instructions(gates: int) -> None:
    """Gates of instruction counts, the two kinds in turn, on a machine that is booted anew every ten gates."""
    with TemporaryDirectory() as name:
        base, head, change = sized(compressed("resnet20") / FILE, Path(name), counted_change, COUNT_AIM, stride=4)
        copy = Path(name, "copy.onnx")
        copy.write_bytes(base.read_bytes())
        same: list[Gate] = []
        slower: list[Gate] = []
        while len(same) < gates:
            with opened(EMULATED, {"base.onnx": base, "same.onnx": copy, "head.onnx": head}) as device:
                for _ in range(min(GATES_PER_BOOT, gates - len(same))):
                    same.append(count_gate(device, "base.onnx", "same.onnx"))
                    slower.append(count_gate(device, "base.onnx", "head.onnx"))
                    print(len(same), same[-1], slower[-1], flush=True)
    _keep("gate_instructions", [("a file against itself", 0.0, same), (f"{change:.2%} more work", change, slower)])


def count_gate(device: Device, base: str, head: str) -> Gate:
    """One gate of instruction counts on a booted machine."""
    judge = Judge(device, RECIPE, threads=(1,), name=EMULATED, stop=threading.Event())
    began = time.monotonic()
    counts = judge.count(subject(base)), judge.count(subject(head))
    found: GateJudgement = judge_instructions(FILE, EMULATED, "", counts, RECIPE.instructions_limit)
    assert found.change
    return Gate(found.verdict, found.change.estimate, time.monotonic() - began)


def counted_change(base: Path, head: Path) -> float:
    """Instructions of head over base, less 1."""
    with opened(EMULATED, {"base.onnx": base, "head.onnx": head}) as device:
        return count_gate(device, "base.onnx", "head.onnx").change


def _keep(name: str, kinds: Sequence[tuple[str, float, Sequence[Gate]]]) -> None:
    rows = []
    for label, change, gates in kinds:
        counts = {verdict: sum(gate.verdict is verdict for gate in gates) for verdict in Verdict}
        verdicts = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        seconds = [gate.seconds for gate in gates]
        median = float(np.median([gate.change for gate in gates]))
        rows.append(
            (f"{len(gates)} of {label}", verdicts, f"{change:.2%}", f"{median:.2%}", f"{np.median(seconds):.0f}",
             f"{max(seconds):.0f}")
        )  # fmt: skip
    data = {
        label: [{"verdict": gate.verdict.value, "change": gate.change, "seconds": gate.seconds} for gate in gates]
        for label, _, gates in kinds
    }
    text = table.markdown(HEADER, rows)
    print(text)
    table.keep(name, data, text)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("wall", "instructions"))
    parser.add_argument("--gates", type=int, default=100)
    arguments = parser.parse_args()
    (wall if arguments.what == "wall" else instructions)(arguments.gates)


if __name__ == "__main__":
    main()
