"""Cost per operator of a .tflite file, from LiteRT's own profiler.

The interpreter that Python sees has no profiler; the C library of the same wheel has one, and its XNNPACK is the same.
It is driven with ctypes, where a wrong guess about a later version ends the process: so the work is done in a process
of its own, and whatever becomes of that, the agent goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

from edgekit.agent.events import RefusalError, first_line
from edgekit.agent.litert_library import ProfiledModel
from edgekit.agent.operator_cost import operator_cost
from edgekit.agent.xnnpack_nodes import node_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

WARMUP_RUNS = 5
LIMIT_S = 300


def profile_tflite(
    file: str, threads: int, runs: int, *, python: Sequence[str] = (), limit_s: int = LIMIT_S
) -> list[dict[str, Any]]:
    """Mean cost of every operator that LiteRT executes, those inside the XNNPACK delegate one by one.

    XNNPACK tells whole microseconds, rounded down: an operator below one costs 0 here. All inputs are 0, on which the
    time of these kernels does not depend.

    Args:
        file: The .tflite file.
        threads: Threads of the kernels.
        runs: Inferences that count; a few more go before them.
        python: Words that start a Python here; empty for the one that runs this.
        limit_s: Longest time it may take, seconds.

    Returns:
        Dictionaries with `name` (the file's name of the operator, see `node_names`), `operator` (what the runtime made
        of it) and `mean_us` (microseconds per inference), in the order of execution.

    Raises:
        RefusalError: There is no profile, and why.
    """
    words = [*(python or [sys.executable]), "-m", __spec__.name, file, str(threads), str(runs), str(limit_s)]
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RefusalError("no-profile", f"LiteRT's profiler took longer than {limit_s} s") from error
    except OSError as error:
        raise RefusalError("no-profile", f"no second Python can be started there: {first_line(error)}") from error
    if done.returncode < 0:
        raise RefusalError("no-profile", f"LiteRT's profiler ended with signal {-done.returncode}")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it does not say why"]
        raise RefusalError("no-profile", f"LiteRT cannot profile {file}: {lines[-1][:500]}")
    try:
        return list(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError) as error:
        raise RefusalError("no-profile", "LiteRT's profiler ended without an answer") from error


def operator_times(file: str, threads: int, runs: int) -> list[dict[str, Any]]:
    """What `profile_tflite` returns, taken in this process, which a later LiteRT may end.

    Raises:
        ValueError: The library is absent, or is not as this module knows it.
    """
    model = ProfiledModel(_library(), file, threads)
    model.run(WARMUP_RUNS)
    model.start()
    model.run(runs)
    events = model.events()
    length = len(events) // runs
    first = events[:length]
    if not first or len(events) % runs:
        raise ValueError(f"{len(events)} operators in {runs} inferences: they differ, or some were lost")
    for position, event in enumerate(events):
        again = first[position % length]
        if (event.tag, event.node) != (again.tag, again.node):
            raise ValueError(f"the inferences differ: '{event.tag}' where the first has '{again.tag}'")
    names = node_names(first, model.nodes())
    return [
        operator_cost(names[place], event.tag, [again.elapsed_us for again in events[place::length]])
        for place, event in enumerate(first)
    ]


def _library() -> str:
    """Path of the C library, found without importing anything of it."""
    try:
        package = find_spec("ai_edge_litert")
    except (ImportError, ValueError):
        package = None
    folders = list(package.submodule_search_locations or ()) if package else []
    for folder in folders:
        for name in ("libLiteRt.so", "libLiteRt.dylib"):
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    raise ValueError("this runtime has no profiler; ai-edge-litert 2.3.0 has one")


def main(arguments: Sequence[str]) -> int:
    """The process of its own: `FILE THREADS RUNS LIMIT_S`; one line of JSON on standard output, or a reason beside."""
    file, threads, runs, limit_s = arguments
    if hasattr(signal, "alarm"):
        signal.alarm(int(limit_s) + 1)  # should the agent be gone by then
    try:
        costs = operator_times(file, int(threads), int(runs))
    except (ValueError, OSError) as error:
        print(first_line(error), file=sys.stderr, flush=True)
        return 1
    print(json.dumps(costs), flush=True)
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # the library is left as it is: what it frees on its way out is of no use to anyone
