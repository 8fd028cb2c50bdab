"""One measured process: one tool compresses one net, and what that cost is printed as JSON.

    python -m benchmarks.peers.child PEER SETTING NET_FOLDER OUT_FOLDER

It runs in the peer's own environment. CPU seconds are user + system of the whole process and its children, start to
end; memory is the largest peak resident set among them.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.peers.task import Task


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
        "peak_mb": max(own.ru_maxrss, children.ru_maxrss) / 1000,
        "stages_cpu_seconds": stages,
    }
    print(f"\n{json.dumps(cost)}")


if __name__ == "__main__":
    main()
