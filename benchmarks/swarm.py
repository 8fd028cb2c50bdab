"""What a swarm of real processes does when its origin is killed, and when most of those in it lie.

    python -m benchmarks.swarm

Everything runs on the loopback, every node and every other peer in a process of its own, the tracker in this one. Nodes
are `edgekit.transport.fetch.Sources` with one `torrent:` URL; origin and liars are made of libtorrent alone. A liar has
the same file with every 16 KiB damaged and gives it out whatever its hash. Times count
from the first piece that any node has; "together" is when the nodes together hold every piece. Limits are in bytes/s,
of sending, for each seed and each node.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import table
from edgekit.addressing.torrent import piece_length_of
from tests.transport.blobs import MIB
from tests.transport.torrent.conftest import LISTEN, Made, make
from tests.transport.torrent.made import addressed
from tests.transport.torrent.processes import Program, node, peer
from tests.transport.torrent.tracker import running_tracker

NAME = "swarm"
HEADER = ("swarm", "file", "together, s", "first, s", "median, s", "last, s", "complete", "received / file")
_LONGEST_S = 300.0


@dataclass(frozen=True)
class Case:
    """One swarm.

    Attributes:
        name: What the table calls it.
        nodes: That fetch.
        good: Honest seeds.
        bad: Seeds that lie.
        size_mib: Of the file.
        rate: Most that each seed and each node sends, in bytes/s; 0 for no limit.
        kills: The good seeds are killed as soon as the nodes together hold every piece.
    """

    name: str
    nodes: int
    good: int
    bad: int
    size_mib: float = 16
    rate: int = 4_000_000
    kills: bool = False


CASES = (
    Case("20 nodes, the origin is killed", 20, 1, 0, kills=True),
    Case("20 nodes, the origin stays", 20, 1, 0),
    Case("1 node, 1 good seed", 1, 1, 0),
    Case("1 node, 1 good seed, 9 lie", 1, 1, 9),
    Case("1 node, 10 lie", 1, 0, 10),
)


class Watch:
    """What one node says, read by a thread of its own."""

    def __init__(self, program: Program, together: set[int], changed: threading.Condition) -> None:
        self.result: dict[str, Any] = {}
        self.at = self.began = 0.0
        self._program = program
        self._together = together
        self._changed = changed
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while not self.result:
            found = json.loads(self._program.line(_LONGEST_S))
            with self._changed:
                if found["event"] == "pieces":
                    self.began = self.began or time.monotonic()
                    self._together.update(found["pieces"])
                elif found["event"] in ("fetched", "failed"):
                    self.result, self.at = found, time.monotonic()
                self._changed.notify_all()


def damaged(data: bytes) -> bytes:
    """The file as liars have it."""
    found = bytearray(data)
    for at in range(0, len(found), 2**14):
        found[at] ^= 1
    return bytes(found)


def run(case: Case) -> dict[str, Any]:
    """One swarm, from its start to the last node."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        made = make(folder / "made", addressed(int(case.size_mib * MIB)))
        tracker = stack.enter_context(running_tracker())
        seeds, ports = _seeds(case, made, folder, tracker.url, stack)
        peers = "".join(f"&peer=127.0.0.1:{port}" for port in ports)
        url = f"torrent:?tracker={tracker.url}{peers}&{LISTEN}"
        changed, pieces = threading.Condition(), set[int]()
        nodes = [
            node(stack, made.blob, folder / f"node-{number}", url, "--pieces", "--stay", "--up", case.rate)
            for number in range(case.nodes)
        ]
        watches = [Watch(program, pieces, changed) for program in nodes]
        count = -(-made.noise.blob.size_bytes // piece_length_of(made.noise.blob.size_bytes))
        with changed:
            changed.wait_for(lambda: len(pieces) == count or all(watch.result for watch in watches), _LONGEST_S)
        together = time.monotonic()
        if case.kills:
            for seed in seeds[: case.good]:
                seed.kill()
        with changed:
            changed.wait_for(lambda: all(watch.result for watch in watches), _LONGEST_S)
        ends = [program.end() for program in nodes if program.process.poll() is None]
        complete = [
            watch for number, watch in enumerate(watches)
            if watch.result.get("event") == "fetched"
            and (folder / f"node-{number}").read_bytes() == made.noise.data
        ]  # fmt: skip
        return _result(case, together, complete, watches) | {"exits": ends}


def _seeds(case: Case, made: Made, folder: Path, tracker: str, stack: ExitStack) -> tuple[list[Program], list[int]]:
    lies = folder / "lies"
    lies.write_bytes(damaged(made.noise.data))
    started = [
        peer(stack, made.torrent, made.file if number < case.good else lies, "--rate", case.rate, "--tracker", tracker,
             *(() if number < case.good else ("--lie",)))
        for number in range(case.good + case.bad)
    ]  # fmt: skip
    return [program for program, _ in started], [port for _, port in started]


def _result(case: Case, together: float, complete: list[Watch], watches: list[Watch]) -> dict[str, Any]:
    began = min((watch.began for watch in watches if watch.began), default=together)
    times = sorted(watch.at - began for watch in complete)
    return {
        "case": case.name,
        "size_mib": case.size_mib,
        "nodes": case.nodes,
        "rate": case.rate,
        "together_s": together - began if complete else None,
        "first_s": times[0] if times else None,
        "median_s": statistics.median(times) if times else None,
        "last_s": times[-1] if times else None,
        "complete": len(complete),
        "received": sum(watch.result.get("downloaded", 0) for watch in watches) / case.size_mib / MIB / case.nodes,
        "kinds": sorted({watch.result.get("kind", "") for watch in watches} - {""}),
    }


def row(found: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    seconds = [f"{found[name]:.1f}" if found[name] is not None else "-"
               for name in ("together_s", "first_s", "median_s", "last_s")]  # fmt: skip
    end = f"{found['complete']} of {found['nodes']}" + "".join(f" ({kind})" for kind in found["kinds"])
    return (
        found["case"], f"{found['size_mib']:g} MiB", *seconds, end, f"{found['received']:.2f}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="write the table into the README and results/")
    arguments = parser.parse_args()
    results = []
    for case in (case for case in CASES if arguments.only in case.name):
        results.append(run(case))
        print(" | ".join(row(results[-1])), flush=True)
    text = table.markdown(HEADER, [row(found) for found in results])
    print(f"\n{text}")
    if arguments.keep:
        table.keep(NAME, {"cases": results}, text)


if __name__ == "__main__":
    main()
