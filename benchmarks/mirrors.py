"""What mirrors that lie, stall or truncate cost somebody who has one good one among them.

    python -m benchmarks.mirrors

Every mirror sends at the same limited speed, so that the time of the good one alone means something. Each case is run
right after the good mirror alone, and the ratio is taken pair by pair. Everything runs on the loopback, servers and
client in one process. `sent` is what the good mirrors had to send, over the size of the file. Bad mirrors come first in
the client's list; the client starts without knowing any of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import table
from edgekit.transport.fetch import Sources
from edgekit.transport.http import HttpTransport
from tests.transport import hostile_server as hostile
from tests.transport.blobs import MIB, Noise, noise
from tests.transport.hostile_server import Behaviour, HostileServer

NAME = "mirrors"
HEADER = ("mirrors", "file", "alone, s", "together, s", "ratio: median", "largest", "sent", "faults named")


@dataclass(frozen=True)
class Case:
    """Some mirrors.

    Attributes:
        name: What the table calls them.
        good: How many good ones there are.
        bad: The others.
        size_mib: Of the file.
    """

    name: str
    good: int
    bad: tuple[Behaviour, ...]
    size_mib: float = 16


MIXTURE = (
    hostile.lie, hostile.lie_at_the_end, hostile.send_endlessly, hostile.serve_other_range, hostile.stall,
    hostile.stall_midway, hostile.truncate, hostile.dribble, hostile.dribble_headers,
)  # fmt: skip
CASES = (
    Case("1 good, 9 lie in every byte", 1, (hostile.lie,) * 9),
    Case("1 good, 9 lie, at 0.25 MB/s", 1, (hostile.lie_slowly,) * 9),
    Case("1 good, 9 lie in the last byte", 1, (hostile.lie_at_the_end,) * 9),
    Case("1 good, 9 never answer", 1, (hostile.stall,) * 9),
    Case("1 good, 9 stop after a tenth", 1, (hostile.stall_midway,) * 9),
    Case("1 good, 9 truncate", 1, (hostile.truncate,) * 9),
    Case("1 good, 9 send 1 byte/s", 1, (hostile.dribble,) * 9),
    Case("1 good, 9 send headers without end", 1, (hostile.dribble_headers,) * 9),
    Case("1 good, 9 send content without end", 1, (hostile.send_endlessly,) * 9),
    Case("1 good, 9 send another range", 1, (hostile.serve_other_range,) * 9),
    Case("1 good, 9 of all kinds", 1, MIXTURE),
    Case("3 good, 7 of all kinds", 3, MIXTURE[:7]),
    Case("3 good", 3, ()),
    Case("1 good, 9 of all kinds", 1, MIXTURE, size_mib=100),
    Case("1 good, 9 never answer", 1, (hostile.stall,) * 9, size_mib=100),
    Case("1 good, 9 stop after 1.2 MB", 1, (hostile.stall_late,) * 9, size_mib=100),
    Case("1 good, 9 never answer", 1, (hostile.stall,) * 9, size_mib=4),
    Case("1 good, 9 of all kinds", 1, MIXTURE, size_mib=4),
    Case("1 good, 9 never answer", 1, (hostile.stall,) * 9, size_mib=0.25),
)


@dataclass(frozen=True)
class Run:
    """One transfer.

    Attributes:
        seconds: It took.
        sent_bytes: By the good mirrors.
        faults: Bad mirrors that were named.
        slandered: Good mirrors that were.
    """

    seconds: float
    sent_bytes: int
    faults: int
    slandered: int


def fetch(made: Noise, good: int, bad: Sequence[Behaviour], bytes_per_s: float) -> Run:
    """Fetch a file once from new servers; the bad ones come first."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(HostileServer(made.files, behaviour, bytes_per_s=bytes_per_s))
            for behaviour in (*bad, *(hostile.serve,) * good)
        ]
        servers, fine = servers[: len(bad)], servers[len(bad) :]
        transports = [HttpTransport(server.url) for server in (*servers, *fine)]
        for transport in transports:
            stack.callback(transport.close)
        target = Path(stack.enter_context(TemporaryDirectory())) / "file"
        sources = Sources(transports)
        began = time.monotonic()
        sources.fetch(made.blob, target)
        seconds = time.monotonic() - began
        if target.read_bytes() != made.data:
            raise AssertionError("other bytes than those that were asked for")
        blamed = {server.url for server in servers} & sources.faults.keys()
        slandered = {server.url for server in fine} & sources.faults.keys()
        return Run(seconds, sum(server.sent_bytes for server in fine), len(blamed), len(slandered))


def measure(case: Case, repeats: int, bytes_per_s: float) -> dict[str, object]:
    """Pairs of the good mirror alone and the case."""
    made = noise(int(case.size_mib * MIB))
    pairs = [(fetch(made, 1, (), bytes_per_s), fetch(made, case.good, case.bad, bytes_per_s)) for _ in range(repeats)]
    ratios = [together.seconds / alone.seconds for alone, together in pairs]
    return {
        "case": case.name,
        "size_mib": case.size_mib,
        "bad": len(case.bad),
        "alone_s": statistics.median(alone.seconds for alone, _ in pairs),
        "together_s": statistics.median(together.seconds for _, together in pairs),
        "ratios": ratios,
        "sent": max(together.sent_bytes for _, together in pairs) / made.blob.size_bytes,
        "faults": [together.faults for _, together in pairs],
        "slandered": sum(together.slandered for _, together in pairs),
    }


def row(found: dict[str, object]) -> tuple[str, ...]:
    """One line of the table."""
    ratios, faults = found["ratios"], found["faults"]
    assert isinstance(ratios, list)
    assert isinstance(faults, list)
    named = f"{min(faults)}-{max(faults)}" if min(faults) < max(faults) else str(max(faults))
    return (
        str(found["case"]), f"{found['size_mib']:g} MiB", f"{found['alone_s']:.2f}", f"{found['together_s']:.2f}",
        f"{statistics.median(ratios):.2f}", f"{max(ratios):.2f}", f"{found['sent']:.2f}", f"{named} of {found['bad']}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="pairs per case")
    parser.add_argument("--speed", type=float, default=8e6, help="bytes/s of each good mirror")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--keep", action="store_true", help="write the table into the README and results/")
    arguments = parser.parse_args()
    results = []
    for case in (case for case in CASES if arguments.only in case.name):
        results.append(measure(case, arguments.repeats, arguments.speed))
        print(" | ".join(row(results[-1])), flush=True)
    text = table.markdown(HEADER, [row(found) for found in results])
    print(f"\n{text}")
    if arguments.keep:
        table.keep(NAME, {"bytes_per_s": arguments.speed, "cases": results}, text)


if __name__ == "__main__":
    main()
