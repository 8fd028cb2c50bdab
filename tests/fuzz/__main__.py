"""python -m tests.fuzz: run a campaign and print its table, or do one case again."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.campaign import ACCEPTED, Bench, Tally, every_kind, run_campaign, shares
from tests.fuzz.specimens import Specimens

MOST_TOLD = 10
"""Findings of a kind that are printed; all are saved."""


def main() -> int:
    """0 where nothing was found."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        kinds = {kind.name: kind for kind in every_kind(Specimens(Path(folder)))}
    chosen = [kinds[name] for name in options.kind or kinds]
    if options.case is not None:
        return _again(chosen[0].name, options.seed, options.case)
    started = time.monotonic()
    tallies = run_campaign(
        shares(chosen, options.cases), seed=options.seed, processes=options.processes, out=Path(options.out)
    )
    print(table(tallies, time.monotonic() - started))
    for tally in tallies.values():
        print("".join(f"{failure}\n" for failure in tally.failures[:MOST_TOLD]), end="")
    count = sum(len(tally.failures) for tally in tallies.values())
    if count:
        print(f"{count} findings; each is saved below {options.out}, with the command that does it again")
    return 1 if count else 0


def table(tallies: Mapping[str, Tally], wall_s: float) -> str:
    """The tallies as a Markdown table; "accepted" is what the kind's law allows."""
    titles = ("kind", "cases", "accepted", "refused", "peak MiB", "CPU s", "slowest ms", "findings", "refused by")
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---:|" * 7 + "---|"]
    whole = Tally()
    for name, tally in tallies.items():
        lines.append(_line(name, tally))
        whole.add(tally)
    lines.append(_line("**all**", whole))
    return "\n".join([*lines, "", f"{wall_s:.0f} s of wall time."])


def _line(name: str, tally: Tally) -> str:
    cases, accepted = tally.ends.total(), tally.ends[ACCEPTED]
    refusals = (f"{name.removesuffix('Error')} {count}" for name, count in tally.ends.most_common() if name != ACCEPTED)
    cells = (
        name, cases, accepted, cases - accepted, f"{tally.peak_bytes / 2**20:.0f}", f"{tally.cpu_s:.0f}",
        f"{tally.slowest_s * 1000:.0f}", len(tally.failures), ", ".join(refusals),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _again(name: str, seed: str, number: int) -> int:
    """One case, told at length."""
    with tempfile.TemporaryDirectory() as scratch:
        bench, tally = Bench(Path(scratch) / "bench", Path(scratch) / "out"), Tally()
        bench.warm_up([name])
        bench.run_case(name, seed, number, tally)
        for file in sorted((Path(scratch) / "out").glob("*/fault.txt")):
            print(file.read_text())
        os.chdir("/")
    print(f"it ends as {', '.join(tally.ends)}: {tally.cpu_s * 1000:.0f} ms, {tally.peak_bytes / 2**20:.1f} MiB")
    return 1 if tally.failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many in all")
    parser.add_argument("--seed", default="0", help="other cases for another one")
    parser.add_argument("--kind", action="append", help="of these kinds only")
    parser.add_argument("--case", type=int, help="do this one again")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="0: in this one")
    parser.add_argument("--out", default="build/fuzz", help="where findings are saved")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
