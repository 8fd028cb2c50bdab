"""The race with one command.

    python -m benchmarks.peers [--nets NAME ...] [--peers NAME ...] [--again] [--compress-only | --score-only]

Compressions that were done before are not repeated; `--again` repeats those of the peers named. Every run scores all
files that are there and times them together; `--samples N` scores on fewer samples.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.nets import data
from benchmarks.nets.catalogue import NETS, prepare
from benchmarks.peers import environments
from benchmarks.peers.compression import Attempt, attempt, files, folder
from benchmarks.peers.entries import ENTRIES, Entry, chosen
from benchmarks.peers.results import Row, keep, net_result, read
from benchmarks.peers.scoring import FLOAT, score


def main() -> None:
    """Compress, score, keep."""
    options = _options()
    if not data.available():
        sys.exit("the data of ../shared/data is not here; this benchmark needs it")
    entries = chosen(options.peers)
    if not (options.score_only or options.no_environments):
        for peer in sorted({entry.peer for entry in entries} & set(environments.names())):
            environments.make(peer)
    results = read()
    for name in options.nets:
        if not options.score_only:
            for entry in chosen(options.peers, name):
                attempt(entry, prepare(name), again=options.again)
        if not options.compress_only:
            results[name] = _score(name, options.samples)
            keep(results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS), help="all by default")
    parser.add_argument("--peers", nargs="+", default=[], help="tools that compress in this run; all by default")
    parser.add_argument("--again", action="store_true", help="repeat compressions that were done before")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--compress-only", action="store_true", help="score nothing")
    parts.add_argument("--score-only", action="store_true", help="compress nothing")
    parser.add_argument("--no-environments", action="store_true", help="take the environments as they are")
    parser.add_argument("--samples", type=int, help="score on at most so many; all by default")
    return parser.parse_args()


def _score(name: str, samples: int | None) -> dict[str, object]:
    """Scores and latencies of every file that any run has left for this net."""
    net = prepare(name)
    done = [(entry, attempt(entry, net)) for entry in ENTRIES if (folder(entry, name) / "attempt.json").exists()]
    paths: dict[str, Path] = {FLOAT: net / "float.onnx"}
    for entry, outcome in done:
        if not outcome.failure:
            paths |= {f"{entry.name}/{file}": folder(entry, name) / file for file in files(entry)}
    scores, latencies = score(name, paths, samples=samples)
    rows = [
        _row(entry, outcome, file, name)
        for entry, outcome in done
        for file in (files(entry)[:1] if outcome.failure else files(entry))
    ]
    return net_result(name, rows, scores, latencies)


def _row(entry: Entry, outcome: Attempt, file: str, net: str) -> Row:
    path = folder(entry, net) / file
    return Row(entry, outcome, file, path.stat().st_size if path.exists() else 0)


if __name__ == "__main__":
    main()
