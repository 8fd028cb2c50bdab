"""Campaign: many cases of every kind, spread over processes, counted and told as a table.

A case is told whole by seed, kind and number: `python -m tests.fuzz --seed SEED --kind KIND --case NUMBER` does it
again. One that fails is saved with what it was made of.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from edgekit.errors import EdgekitError
from tests.fuzz import hostile
from tests.fuzz.address_kinds import address_kinds
from tests.fuzz.bundle_kinds import bundle_kinds
from tests.fuzz.channel_kinds import channel_kinds
from tests.fuzz.delta_kinds import delta_kinds
from tests.fuzz.file_kinds import file_kinds
from tests.fuzz.gateway_kinds import gateway_kinds
from tests.fuzz.kinds import Kind, LawError
from tests.fuzz.log_kinds import log_kinds
from tests.fuzz.node_kinds import node_kinds
from tests.fuzz.registry_kinds import registry_kinds
from tests.fuzz.request_kinds import request_kinds
from tests.fuzz.seal_kinds import seal_kinds
from tests.fuzz.specimens import Specimens
from tests.fuzz.watch import LONGEST_CPU_S, Measured, Watch
from tests.fuzz.whole_channel_kinds import whole_channel_kinds
from tests.fuzz.witness_kinds import witness_kinds

ROOT = Path(__file__).parents[2]
CHUNK = 200
MOST_FAILURES = 20
"""Of one kind, that are kept; more of them say nothing new."""
HANG_S = 180
"""After which a process that is in one case, and that no signal reaches, is ended with its traceback."""
ACCEPTED = "accepted"


@dataclass
class Tally:
    """What became of the cases of one kind.

    Attributes:
        ends: "accepted", or the class of the refusal -> how many.
        failures: What was found, each with the command that does it again.
        cpu_s: Of all cases together.
        slowest_s: Of one.
        peak_bytes: Largest growth of the resident set in one.
    """

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    peak_bytes: int = 0

    def add(self, other: Tally) -> None:
        """Take another one in."""
        self.ends += other.ends
        self.failures += other.failures
        self.cpu_s += other.cpu_s
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)


class Bench:
    """One process at work: its specimens, its folder, its watch.

    Args:
        folder: To work in; made.
        out: Where failures are saved.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self._folder, self._out = folder, out
        self._place, self._outside = folder / "case", folder / "outside"
        self._place.mkdir(parents=True)
        self._outside.mkdir()
        (self._outside / "secret").write_text("nobody may read or change this")
        self.kinds = {kind.name: kind for kind in every_kind(Specimens(folder / "specimens"))}
        self._current = os.open(folder / "current", os.O_WRONLY | os.O_CREAT)
        tempfile.tempdir = str(self._place / "tmp")
        os.chdir(self._place)
        os.umask(0o077)  # key files that others may read are refused
        os.environ["DOCKER_CONFIG"] = str(self._place)
        self._watch = Watch(self._place, readable=(Path(sys.prefix), Path(sys.base_prefix), ROOT, Path("/proc/self")))
        self._watch.install()

    def warm_up(self, names: Iterable[str]) -> None:
        """A few cases whose imports and caches are nobody's memory or time."""
        for name in names:
            for number in range(5):
                self.run_case(name, "warm", number, Tally())

    def run(self, name: str, seed: str, numbers: Sequence[int]) -> Tally:
        """Some cases of one kind."""
        tally = Tally()
        before, armed = len(os.listdir("/proc/self/fd")), 0.0
        for number in numbers:
            if time.monotonic() - armed > 1.0:
                faulthandler.dump_traceback_later(HANG_S, exit=True)
                armed = time.monotonic()
            self.run_case(name, seed, number, tally)
            if len(tally.failures) >= MOST_FAILURES:
                break
        gc.collect()
        left_open = len(os.listdir("/proc/self/fd")) - before
        if left_open > 0:
            tally.failures.append(f"{name}: {left_open} files were left open by cases {numbers[0]} to {numbers[-1]}")
        if os.listdir(self._outside) != ["secret"] or os.path.lexists(hostile.ESCAPE):
            tally.failures.append(f"{name}: something was written outside by cases {numbers[0]} to {numbers[-1]}")
        faulthandler.cancel_dump_traceback_later()
        return tally

    def run_case(self, name: str, seed: str, number: int, tally: Tally) -> None:
        """One case."""
        kind = self.kinds[name]
        os.pwrite(self._current, f"--seed {seed} --kind {name} --case {number}\n".ljust(120).encode(), 0)
        clear_folder(self._place)
        (self._place / "tmp").mkdir()
        words = f"--seed {seed} --kind {name} --case {number}"
        try:
            mutant = kind.draw(Random(f"{seed}/{name}/{number}"))
        except Exception as error:  # a fault of these tests; the others go on
            tally.failures.append(self._save(kind, None, words, "".join(traceback.format_exception(error))))
            return
        raised, measured = self._watch.run(lambda: kind.judge(mutant, self._place))
        tally.cpu_s += measured.cpu_s
        tally.slowest_s = max(tally.slowest_s, measured.cpu_s)
        tally.peak_bytes = max(tally.peak_bytes, measured.peak_bytes)
        most_bytes = kind.allowed(mutant) if kind.allowed else kind.most_bytes
        if fault := _fault(raised, measured, most_bytes):
            tally.failures.append(self._save(kind, mutant, words, fault))
        tally.ends[type(raised).__name__ if raised else ACCEPTED] += 1

    def _save(self, kind: Kind[Any], mutant: object, words: str, fault: str) -> str:
        folder = self._out / words.replace("--", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        command = f"{sys.executable} -m tests.fuzz {words}"
        (folder / "fault.txt").write_text(f"{command}\nlaw: {kind.law}\n\n{fault}\n", "utf-8", "backslashreplace")
        (folder / "mutant.txt").write_text(f"{mutant!r}\n", "utf-8", "backslashreplace")
        if isinstance(mutant, bytes):
            (folder / "mutant.bin").write_bytes(mutant)
        return f"{words}: {fault.strip().splitlines()[-1][:300]}"


def every_kind(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All kinds of cases."""
    for family in (
        bundle_kinds, seal_kinds, channel_kinds, request_kinds, node_kinds, registry_kinds, file_kinds, log_kinds,
        address_kinds, gateway_kinds, delta_kinds, whole_channel_kinds,
        witness_kinds,
    ):  # fmt: skip
        yield from family(specimens)


def clear_folder(folder: Path) -> None:
    """Remove what a folder holds."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def shares(kinds: Sequence[Kind[Any]], cases: int) -> dict[str, int]:
    """Name -> how many cases of it, together about as many as asked for."""
    whole = sum(kind.share for kind in kinds)
    return {kind.name: max(1, round(cases * kind.share / whole)) for kind in kinds}


def run_campaign(counts: Mapping[str, int], *, seed: str, processes: int, out: Path) -> dict[str, Tally]:
    """Every case that is asked for.

    Args:
        counts: Kind -> how many cases.
        seed: Of all cases.
        processes: How many work at once; 0 is this process alone.
        out: Where failures are saved.
    """
    chunks = [
        (name, seed, range(start, min(start + CHUNK, count)))
        for start in range(0, max(counts.values()), CHUNK)
        for name, count in counts.items()
        if start < count
    ]
    tallies = {name: Tally() for name in counts}
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-", dir=_memory_folder()) as scratch:
        if not processes:
            _begin(scratch, str(out), tuple(counts))
            for chunk in chunks:
                tallies[chunk[0]].add(_work(*chunk))
            os.chdir(ROOT)
            return tallies
        spawning = multiprocessing.get_context("spawn")
        arguments = (scratch, str(out), tuple(counts))
        with ProcessPoolExecutor(processes, spawning, initializer=_begin, initargs=arguments) as pool:
            waiting = {pool.submit(_work, *chunk): chunk[0] for chunk in chunks}
            _gather(waiting, tallies, Path(scratch))
    return tallies


def _gather(waiting: Mapping[Future[Tally], str], tallies: dict[str, Tally], scratch: Path) -> None:
    for done, future in enumerate(as_completed(waiting), start=1):
        try:
            tallies[waiting[future]].add(future.result())
        except BrokenProcessPool:
            last = "; ".join(file.read_text().strip() for file in scratch.glob("*/current"))
            tallies[waiting[future]].failures.append(f"a process died; these were the last cases: {last}")
            return
        if sys.stderr.isatty():
            print(f"\r{done} of {len(waiting)} chunks", end="", file=sys.stderr)


_BENCH: list[Bench] = []
"""The one of this process."""


def _begin(scratch: str, out: str, names: tuple[str, ...]) -> None:
    """Prepare a process."""
    faulthandler.enable()
    _BENCH.append(Bench(Path(scratch) / str(os.getpid()), Path(out).absolute()))
    _BENCH[0].warm_up(names)


def _work(name: str, seed: str, numbers: Sequence[int]) -> Tally:
    return _BENCH[0].run(name, seed, numbers)


def _fault(raised: BaseException | None, measured: Measured, most_bytes: int) -> str:
    """What is wrong with how a case ended; "" where nothing is."""
    if measured.outside:
        return f"outside of its folder: {'; '.join(measured.outside)}"
    if isinstance(raised, LawError) or (raised and not isinstance(raised, EdgekitError)):
        return "".join(traceback.format_exception(raised))
    if measured.cpu_s > LONGEST_CPU_S:
        return f"it took {measured.cpu_s:.1f} s of the processor; at most {LONGEST_CPU_S} s are allowed"
    if measured.peak_bytes > most_bytes:
        return f"it took {measured.peak_bytes / 2**20:.0f} MiB; at most {most_bytes / 2**20:.0f} MiB are allowed"
    return ""


def _memory_folder() -> str | None:
    """A folder in memory where there is one: each case writes and removes files."""
    place = "/dev/shm"
    return place if os.path.isdir(place) and os.access(place, os.W_OK) else None
