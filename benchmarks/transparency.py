"""What a transparency log of a million releases costs: appending, proving, its files, and Go's verdict on them.

    python -m benchmarks.transparency [--entries 1000000]

Entries are those of releases (`edgekit.types.release_leaf`), appended in batches of 1,000, each batch synced to the
disk and signed. A cold proof opens the log anew, with its tiles out of the page cache; a warm one is any further proof
of the same process. Go's golang.org/x/mod/sumdb verifies the whole log, and each proof.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import table
from edgekit.check.machine import describe_machine
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.note import VerifierKey, read_note
from edgekit.transparency.proof import LogProof, write_proof
from edgekit.transparency.tile_log import TileLog, found_log
from edgekit.types.release_leaf import ReleaseLeaf
from edgekit.units import size
from tests.interop.sumdb_program import SumDB

BATCH = 1_000
COLD = 200
WARM = 2_000
RECORDS = 1_000
ORIGIN = "example.org/log"
HEADER = ("what", "figure")


def leaf(number: int) -> bytes:
    """The entry of a release."""
    release, bundle = (hashlib.sha256(b"%s %d" % (kind, number)).hexdigest() for kind in (b"release", b"bundle"))
    return ReleaseLeaf(f"family{number % 97}/model{number % 1009}", 1 + number, "1.2.3", release, bundle).to_bytes()


def batches(count: int) -> Iterator[list[bytes]]:
    """All entries; made outside of what is timed."""
    for start in range(0, count, BATCH):
        yield [leaf(number) for number in range(start, min(count, start + BATCH))]


def grow(folder: Path, key: MemoryKey, count: int) -> tuple[TileLog, list[float], list[float]]:
    """The log, the seconds of each batch, and the milliseconds of a sync of this disk meanwhile."""
    log = found_log(folder, ORIGIN, key)
    seconds: list[float] = []
    sync_ms: list[float] = []
    for number, batch in enumerate(batches(count)):
        began = time.perf_counter()
        log.append(batch, key)
        seconds.append(time.perf_counter() - began)
        if number % 10 == 9:
            sync_ms.append(_ms(lambda: _sync(folder.with_name("probe"))))
        if number % 100 == 99:
            print(f"{log.checkpoint.size} entries, {sum(seconds):.1f} s", file=sys.stderr, flush=True)
    return log, seconds, sync_ms


def _sync(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(bytes(8192))
        stream.flush()
        os.fsync(stream.fileno())


def forget(folder: Path) -> None:
    """Put the log's tiles out of the page cache."""
    for path in (folder / "tile").rglob("*"):
        if path.is_file() and "entries" not in path.parts:
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def cold(folder: Path, indexes: Sequence[int]) -> list[float]:
    """Milliseconds of a first proof, the opening included."""
    found = []
    for index in indexes:
        forget(folder)
        found.append(_ms(lambda index=index: TileLog.open(folder).prove(index)))
    return found


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def judge(sumdb: SumDB, log: TileLog, folder: Path, indexes: Sequence[int], vkey: VerifierKey) -> dict[str, Any]:
    """What Go says of the log and of proofs from it."""
    files, note = [], read_note(log.note)
    for index in indexes:
        file = folder / f"{index}.tlog-proof"
        file.write_bytes(write_proof(LogProof(index, tuple(log.prove(index)), note)))
        Path(f"{file}.leaf").write_bytes(leaf(index))
        files.append(file)
    micros = sumdb.says("records", vkey, *files)
    began = time.perf_counter()
    whole = sumdb.says("log", vkey, log.folder, log.checkpoint.size // 3)
    assert whole["size"] == log.checkpoint.size
    return {
        "records": len(micros),
        "record_us": statistics.median(micros),
        "whole_s": time.perf_counter() - began,
        "proof_bytes": statistics.median(file.stat().st_size for file in files),
    }


def measure(folder: Path, count: int) -> dict[str, Any]:
    """All figures."""
    key = generate("ed25519")
    log, seconds, sync_ms = grow(folder / "log", key, count)
    chance = random.Random(0)
    drawn = [chance.randrange(count) for _ in range(COLD + WARM)]
    cold_ms = cold(log.folder, drawn[:COLD])
    again = TileLog.open(log.folder)
    warm_ms = [_ms(lambda index=index: again.prove(index)) for index in drawn[COLD:]]
    consistency_ms = [_ms(lambda old=index + 1: again.prove_consistency(old)) for index in drawn[COLD:]]
    kept = [path.stat() for path in (log.folder / "tile").rglob("*") if path.is_file()]
    entries = [path.stat() for path in (log.folder / "tile" / "entries").rglob("*") if path.is_file()]
    return {
        "entries": count,
        "entry_bytes": len(leaf(count // 2)),
        "batch_s": seconds,
        "sync_ms": sync_ms,
        "cold_ms": cold_ms,
        "warm_ms": warm_ms,
        "consistency_ms": consistency_ms,
        "files": len(kept),
        "file_bytes": sum(each.st_size for each in kept),
        "entries_bytes": sum(each.st_size for each in entries),
        "disk_bytes": sum(each.st_blocks * 512 for each in kept),
        "go": judge(SumDB(folder), again, folder, drawn[:RECORDS], VerifierKey(ORIGIN, key.public)),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Medians, and the 99th of 100."""
    seconds, go = found["batch_s"], found["go"]
    return [
        ("entries", f"{found['entries']:,} of {found['entry_bytes']} B"),
        ("appended, 1,000 a batch", f"{found['entries'] / sum(seconds):,.0f} entries/s"),
        ("one batch: first / last hundred", f"{_median_ms(seconds[:100])} / {_median_ms(seconds[-100:])} ms"),
        ("one batch: fastest, and 99 % below", f"{1e3 * min(seconds):.1f} / {1e3 * _p99(seconds):.1f} ms"),
        ("one sync of 8 KiB meanwhile; a batch has 22", _spread(found["sync_ms"])),
        ("inclusion proof, cold", _spread(found["cold_ms"])),
        ("inclusion proof, warm", _spread(found["warm_ms"])),
        ("consistency proof, warm", _spread(found["consistency_ms"])),
        ("on disk", f"{size(found['disk_bytes'])} in {found['files']:,} files"),
        ("of which hashes / entries", _parts(found)),
        ("`.tlog-proof`, no witnesses", f"{go['proof_bytes']:,.0f} B"),
        ("Go verifies", f"{go['records']:,} of {go['records']:,} proofs, {go['record_us']:.0f} µs each"),
        ("Go verifies the log whole", f"in {go['whole_s']:.1f} s"),
    ]


def _summary(times: Sequence[float]) -> dict[str, float]:
    return {"count": len(times), "sum": sum(times), "median": statistics.median(times), "p99": _p99(times),
            "least": min(times), "largest": max(times)}  # fmt: skip


def _parts(found: dict[str, Any]) -> str:
    return f"{size(found['file_bytes'] - found['entries_bytes'])} / {size(found['entries_bytes'])}"


def _median_ms(seconds: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.1f}"


def _spread(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.2f} ms, 99 % below {_p99(times):.2f} ms"


def _p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100)[-1]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="how many")
    parser.add_argument("--dry", action="store_true", help="print the table and keep nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.entries)
    text = table.markdown(HEADER, rows(found))
    print(text)
    if not arguments.dry:
        machine = describe_machine()
        found |= {
            name: _summary(found[name]) for name in ("batch_s", "sync_ms", "cold_ms", "warm_ms", "consistency_ms")
        }
        table.keep("transparency", {"machine": {"cpu": machine.cpu, "cores": machine.cores}, **found}, text)


if __name__ == "__main__":
    main()
