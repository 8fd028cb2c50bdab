"""One measured process: one tool compresses one net, and what that cost is printed as JSON.

    python -m benchmarks.peers.child PEER SETTING NET_FOLDER OUT_FOLDER

It runs in the peer's own environment. CPU seconds are user + system of the whole process and its children, start to
end; memory is the largest peak resident set among them, in MB (10^6 bytes).
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.peers.task import Task


def peak_mb() -> float:
    """Peak resident set of this process since its program was loaded, MB.

    Linux starts a child's `ru_maxrss` at its parent's resident set, which may be larger than all the child ever uses;
    VmHWM (proc(5)) starts anew. Elsewhere `ru_maxrss` has to do.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Run the driver named on the command line."""
    peer, setting, net, out = sys.argv[1:]
    wall = time.perf_counter()
    driver = importlib.import_module(f"benchmarks.peers.{peer}")
    stages = driver.compress(Task(Path(net), Path(out)), setting) or {}
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cost = {
        "cpu_seconds": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "wall_seconds": time.perf_counter() - wall,
        "peak_mb": max(peak_mb(), children.ru_maxrss * 1024 / 1e6),
        "stages_cpu_seconds": stages,
    }
    print(f"\n{json.dumps(cost)}")


if __name__ == "__main__":
    main()
