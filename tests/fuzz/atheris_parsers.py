"""python -m tests.fuzz.atheris_parsers: the parsers under atheris, which follows the branches that they take.

Without a name, each for some seconds in a process of its own, and a table; with one, that parser under libFuzzer's own
options: `python -m tests.fuzz.atheris_parsers manifest -runs=100000`. Atheris is no dependency: see requirements.txt.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz.json_mutation import is_json, mutate_json

SECONDS = 20
LARGEST_BYTES = 2**16
NAMES = (
    "strict-json",
    "manifest",
    "oci",
    "dsse",
    "sigstore-bundle",
    "tar",
    "key",
    "arrays",
    "torrent",
    "car",
    "delta-index",
    "delta-bsdiff",
    "delta-zstd",
    "delta-residual",
    "log-proof",
    "log-policy",
)
_STAT = re.compile(r"stat::(\w+):\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")


def main(arguments: Sequence[str]) -> int:
    """0 where nothing was found."""
    if arguments and arguments[0] in NAMES:
        return fuzz(arguments[0], arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.atheris_parsers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each parser")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="for corpora and findings")
    options = parser.parse_args(arguments)
    try:
        import atheris  # noqa: F401  # only whether it is there
    except ModuleNotFoundError:
        print("skipped: atheris is not installed (tests/fuzz/requirements.txt; wheels: Linux x86-64)")
        return 0
    return _run_all(options.seconds, options.out)


def fuzz(name: str, options: Sequence[str]) -> int:
    """One parser, in this process, until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["edgekit"]):
        from tests.fuzz.parsers import PARSERS

    chosen = PARSERS[name]

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        """Half of the time as JSON; libFuzzer's own mutations hardly ever keep it that."""
        if seed % 2 and is_json(data):
            found = mutate_json(Random(seed), data)
            if len(found) <= most_bytes:
                return found
        return bytes(atheris.Mutate(data, most_bytes))

    arguments = [sys.argv[0], *options]
    if chosen.is_json:
        atheris.Setup(arguments, chosen.parse, custom_mutator=mutate)
    else:
        atheris.Setup(arguments, chosen.parse)
    atheris.Fuzz()
    return 0


def _run_all(seconds: int, out: Path) -> int:
    found = 0
    print("| parser | executions | per second | branches | corpus | peak MiB |\n|---|---:|---:|---:|---:|---:|")
    for name in NAMES:
        corpus = out / "corpus" / name
        _write_corpus(name, corpus)
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.atheris_parsers", name, str(corpus), f"-max_total_time={seconds}",
             f"-max_len={LARGEST_BYTES}", "-print_final_stats=1", f"-artifact_prefix={out}/{name}-", "-timeout=20",
             "-rss_limit_mb=1024"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        stats = {key: int(value) for key, value in _STAT.findall(done.stderr)}
        covered = (_COVERED.findall(done.stderr) or [("?", "?", "?")])[-1]
        executions = stats.get("number_of_executed_units", 0)
        per_second = stats.get("average_exec_per_sec", 0)
        print(f"| {name} | {executions} | {per_second} | {covered[0]} | {covered[2]} | {stats.get('peak_rss_mb', 0)} |")
        if done.returncode:
            found += 1
            print(f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return 1 if found else 0


def _write_corpus(name: str, folder: Path) -> None:
    from tests.fuzz.parsers import PARSERS
    from tests.fuzz.specimens import Specimens

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for number, data in enumerate(PARSERS[name].corpus(Specimens(Path(scratch)))):
            (folder / f"specimen-{number}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
