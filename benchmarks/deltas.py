"""What an update costs on the line: deltas between real releases, by each codec, and what applying one takes.

    python -m benchmarks.deltas [--pairs DIR]

The releases are made when they are not there yet (a quarter of an hour, one thread): see `benchmarks.delta_pairs`.
zstd is level 19 with the old file as dictionary (what `zstd --patch-from` does), bsdiff is bsdiff4's. Applying is
measured as a process of its own, one thread, from the start of Python to its end: CPU seconds, the median of three,
and the peak resident set. The JSON has wall times too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks import photos, table
from benchmarks.lite0 import CACHE

ROUNDS = 3
SHOWN = ("model.int8.onnx", "model.int8.tflite")
HEADER = ("what changed", "file", "whole", "zstd", "bsdiff", "residual", "of the smaller", "CPU s", "peak MB")

APPLY = """
import sys
from pathlib import Path
from edgekit.delta.residual import apply_residual
old, delta, out = map(Path, sys.argv[1:4])
out.write_bytes(apply_residual(old.read_bytes(), delta.read_bytes(), size_bytes=int(sys.argv[4])))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def main() -> None:
    """Make the releases, every delta, apply the residuals; keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=Path, default=CACHE / "deltas", help="where the releases are, or are made")
    folder = parser.parse_args().pairs
    if not photos.available():
        sys.exit("the photos of ../shared/data are not here; this benchmark needs them")
    from benchmarks.delta_pairs import FILES, PAIRS, make
    from edgekit.check.machine import describe_machine

    make(folder)
    found: list[dict[str, Any]] = []
    for what, (before, after) in PAIRS.items():
        for file in FILES:
            found.append({"what": what, "file": file, **measure(folder / before / file, folder / after / file)})
            print(found[-1], file=sys.stderr, flush=True)
    machine = describe_machine()
    data = {"machine": {"cpu": machine.cpu, "isa": list(machine.isa)}, "pairs": found}
    text = table.markdown(HEADER, [cells(one) for one in found if one["file"] in SHOWN])
    table.keep("deltas", data, text)
    print(text)


def measure(before: Path, after: Path) -> dict[str, Any]:
    """Bytes of each delta, and what applying the residual costs."""
    import zstandard

    from edgekit.delta.bsdiff_patch import make_bsdiff
    from edgekit.delta.residual import make_residual
    from edgekit.delta.zstd_patch import make_zstd

    old, new = before.read_bytes(), after.read_bytes()
    start = time.perf_counter()
    residual = make_residual(old, new)
    making_s = time.perf_counter() - start
    if residual is None:
        raise RuntimeError(f"{before} and {after} have no weights in common")
    zstd, bsdiff = make_zstd(old, new), make_bsdiff(old, new)
    if zstd is None or bsdiff is None:
        raise RuntimeError("zstd and bsdiff have something to say about every pair")
    runs = [apply(before, residual, new) for _ in range(ROUNDS)]
    return {
        "size": len(new),
        "whole": len(zstandard.ZstdCompressor(level=19).compress(new)),
        "zstd": len(zstd),
        "bsdiff": len(bsdiff),
        "residual": len(residual),
        "making_s": round(making_s, 2),
        "applying_s": sorted(seconds for seconds, _, _ in runs),
        "applying_cpu_s": sorted(seconds for _, seconds, _ in runs),
        "peak_mb": max(peak for _, _, peak in runs),
    }


def apply(before: Path, residual: bytes, new: bytes) -> tuple[float, float, float]:
    """Wall and CPU seconds of the process, and its peak in MB.

    Raises:
        RuntimeError: It failed, or made another file.
    """
    with tempfile.TemporaryDirectory() as name:
        delta, out = Path(name, "delta"), Path(name, "out")
        delta.write_bytes(residual)
        words = [sys.executable, "-c", APPLY, str(before), str(delta), str(out), str(len(new))]
        start = time.perf_counter()
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - start
        if child.returncode or out.read_bytes() != new:
            raise RuntimeError(f"the delta of {before} was not applied: exit code {child.returncode}")
    return round(wall_s, 2), round(usage.ru_utime + usage.ru_stime, 2), round(int(said) * 1024 / 1e6, 1)


def cells(one: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table; sizes in bytes."""
    smaller = min(one["zstd"], one["bsdiff"])
    return (
        one["what"],
        f"`{one['file']}`",
        *(f"{one[name]:,}" for name in ("whole", "zstd", "bsdiff", "residual")),
        f"{one['residual'] / smaller:.2f}",
        f"{one['applying_cpu_s'][ROUNDS // 2]:.2f}",
        f"{one['peak_mb']:.0f}",
    )


if __name__ == "__main__":
    main()
