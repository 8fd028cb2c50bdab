"""What `edgekit verify` costs, beside `sha256sum` on the same bytes.

    python -m benchmarks.verification [--rounds 5]

Bundles of one variant with a random model file, as a folder and as a `.tar`; the two programs take turns, both read
from the page cache. Times are those of whole processes, the start of Python included; memory is the peak resident set.
Files above 1 MiB have digests of pieces in their manifest, so that edgekit hashes each byte of them twice.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table
from edgekit.check.machine import describe_machine
from edgekit.oci.tarball import write_tar
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import generate
from edgekit.units import size
from tests.bundle.building import build

SIZES = (20_000_000, 1_000_000_000)
HEADER = ("bundle", "`sha256sum`", "`edgekit verify`", "throughput of `sha256sum`'s", "peak MB")
VERIFY = """
import sys
from edgekit.cli.app import run
code = run(["verify", *sys.argv[1:]])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")), file=sys.stderr)
sys.exit(code)
"""


def measure(folder: Path, size_bytes: int, rounds: int) -> dict[str, Any]:
    """Seconds of each program on a folder and on a tar, and edgekit's memory."""
    key = generate("p256")
    write_key(key, folder / "publisher.key", None)
    built = build(folder, key, variants=1, sizes=(size_bytes,), seed=random.Random(size_bytes).randrange(2**31))
    write_tar(built.path, folder / "net.tar")
    found: dict[str, Any] = {"size_bytes": size_bytes}
    for kind, path, files in (
        ("folder", built.path, sorted((built.path / "blobs" / "sha256").iterdir())),
        ("tar", folder / "net.tar", [folder / "net.tar"]),
    ):
        verify = [sys.executable, "-c", VERIFY, str(path), "--trust", str(folder / "publisher.pub"), "--quiet"]
        summed = ["sha256sum", *map(str, files)]
        taken(summed)
        times: dict[str, list[float]] = {"sha256sum": [], "edgekit": []}
        peaks = []
        for _ in range(rounds):
            times["sha256sum"].append(taken(summed)[0])
            seconds, told = taken(verify)
            times["edgekit"].append(seconds)
            peaks.append(int(told.split()[-1]) * 1024 / 1e6)
        found[kind] = {"seconds": times, "peak_mb": max(peaks)}
        print(size(size_bytes), kind, {name: min(each) for name, each in times.items()}, file=sys.stderr)
    return found


def taken(words: Sequence[str]) -> tuple[float, str]:
    """Seconds of a process, and what it wrote to stderr."""
    began = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began, done.stderr


def rows(found: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Medians."""
    told = []
    for each in found:
        for kind, name in (("folder", "folder"), ("tar", "`.tar`")):
            summed, verified = (statistics.median(each[kind]["seconds"][tool]) for tool in ("sha256sum", "edgekit"))
            told.append(
                (
                    f"{size(each['size_bytes'])}, {name}",
                    f"{summed:.2f} s",
                    f"{verified:.2f} s",
                    f"{summed / verified:.2f}",
                    f"{each[kind]['peak_mb']:.0f}",
                )
            )
    return told


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="times each program runs")
    parser.add_argument("--dry", action="store_true", help="print the table and keep nothing")
    arguments = parser.parse_args()
    found = []
    for size_bytes in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(Path(folder), size_bytes, arguments.rounds))
    machine = describe_machine()
    text = table.markdown(HEADER, rows(found))
    print(text)
    if not arguments.dry:
        table.keep("verification", {"machine": {"cpu": machine.cpu, "cores": machine.cores}, "bundles": found}, text)


if __name__ == "__main__":
    main()
