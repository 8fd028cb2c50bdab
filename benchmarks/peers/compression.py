"""Runs each entry's compression in a process of its own, once, and keeps the files, what they cost, or why not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.peers import environments
from benchmarks.peers.entries import Entry

FOLDER = Path(__file__).resolve().parents[2] / "build" / "benchmarks" / "race"
ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 1500.0
"""Wall time after which a compression is stopped and counts as failed."""
MAX_REASON = 160
"""Characters of an error message that a table has room for."""


@dataclass(frozen=True)
class Attempt:
    """One compression, finished or failed.

    Attributes:
        failure: Why there are no files; "" when there are.
        cpu_seconds: User + system of the whole process and its children; of edgekit without its check.
        check_cpu_seconds: What edgekit's check cost, its explanation included; 0 for tools without one.
        wall_seconds: Of the whole process, on a machine that may be busy.
        peak_mb: Largest resident set, MB (10^6 bytes).
        stages_cpu_seconds: Where a driver can tell, CPU seconds of each stage.
    """

    failure: str = ""
    cpu_seconds: float = 0.0
    check_cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_mb: float = 0.0
    stages_cpu_seconds: dict[str, float] = field(default_factory=dict)


def attempt(entry: Entry, net: Path, *, again: bool = False) -> Attempt:
    """The compression's outcome: as kept from before, or now.

    Args:
        entry: Tool and setting.
        net: The net's folder.
        again: Forget what was kept.
    """
    out = folder(entry, net.name)
    kept = out / "attempt.json"
    if kept.exists() and not again:
        return Attempt(**json.loads(kept.read_text(encoding="utf-8")))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    print(f"{net.name}: {entry.name}", file=sys.stderr, flush=True)
    outcome = _run(entry, net, out)
    kept.write_text(json.dumps(asdict(outcome), indent=1), encoding="utf-8")
    print(f"    {outcome.failure or f'{outcome.cpu_seconds:.1f} CPU s'}", file=sys.stderr, flush=True)
    return outcome


def folder(entry: Entry, net: str) -> Path:
    """Where an entry's files for a net lie."""
    return FOLDER / net / entry.name


def files(entry: Entry) -> tuple[str, ...]:
    """Names of the files that are scored, in the entry's folder."""
    return ("model.x86.int8.onnx", "model.int8.tflite") if entry.peer == "edgekit" else ("model.onnx",)


def _run(entry: Entry, net: Path, out: Path) -> Attempt:
    interpreter = Path(sys.executable) if entry.peer == "edgekit" else environments.python(entry.peer)
    if not interpreter.exists():
        return Attempt(failure=f"no environment build/peers/{entry.peer}")
    command = [str(interpreter), "-m", "benchmarks.peers.child", entry.peer, entry.setting, str(net), str(out)]
    quiet = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OLIVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    try:
        with (out / "log.txt").open("w", encoding="utf-8") as log:
            done = subprocess.run(
                command,
                cwd=out,  # some tools leave files where they are called
                env={**os.environ, **quiet},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return Attempt(failure=f"not finished after {LIMIT_SECONDS:.0f} s")
    if done.returncode:
        return Attempt(failure=reason((out / "log.txt").read_text(encoding="utf-8"), done.returncode))
    if missing := [name for name in files(entry) if not (out / name).exists()]:
        return Attempt(failure=f"ended without an error, but wrote no {missing[0]}")
    cost = json.loads(done.stdout.splitlines()[-1])
    check = cost["stages_cpu_seconds"].get("check", 0.0)
    return Attempt(**{**cost, "cpu_seconds": cost["cpu_seconds"] - check}, check_cpu_seconds=check)


def reason(log: str, status: int) -> str:
    """The last line of a traceback, short enough for a table; the exit status where nothing was said."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    text = lines[-1] if lines else f"exit status {status}"
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"
