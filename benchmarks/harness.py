"""What the harness itself costs, and whether it measures what others measure.

    python -m benchmarks.harness

Overhead: blocks of inferences measured by the agent's loop, in turns with blocks of a bare loop in the same process.
Agreement: fresh processes of the agent in turns with fresh processes of LiteRT's own `litert-benchmark`, and of a loop
made like `onnxruntime_perf_test` (one warm-up inference, the same inputs again and again, each run timed); medians of
each process. The loop calls `session.run`, which copies a little that the agent's binding does not; the other call that
Python has, `run_with_ort_values`, spends 50 µs more on converting, which the program in C++ does not do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import table
from benchmarks.nets.compressed import compressed
from edgekit.agent.samples import draw_inputs, feeds
from edgekit.agent.sessions import Session, import_runtime, open_session
from edgekit.agent.steady import take
from edgekit.bench import jobs
from edgekit.bench.agent_file import NAME, agent_bytes
from edgekit.bench.answers import Answers
from edgekit.bench.conversation import converse
from edgekit.bench.jobs import Subject
from edgekit.bench.student import mean_interval
from edgekit.devices.local import LocalDevice
from edgekit.types.bench import BenchSettings
from edgekit.types.interval import Interval

FILES = (("resnet20", "model.int8.onnx"), ("resnet20", "model.int8.tflite"), ("keywords", "model.int8.tflite"),
         ("lite0", "model.x86.int8.onnx"), ("lite0", "model.int8.tflite"))  # fmt: skip
BLOCKS = 4000
BLOCK_RUNS = 4
GROUPS = 20
QUIET = 0.1
"""Overhead is told from the quiet blocks of each group: the others tell of other programs."""
ROUNDS = 12
PROCESS_S = 1.5
HEADER = ("file", "median", "of the other tool's", "interval")

Block = Callable[[Callable[[], object]], float]

PERF_TEST = """
import json, sys, time
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
random = np.random.RandomState(0)
feeds = {}
for info in session.get_inputs():
    shape = [size if isinstance(size, int) else 1 for size in info.shape]
    feeds[info.name] = (random.random_sample(shape) * 2 - 1).astype(np.float32)
names = [info.name for info in session.get_outputs()]
session.run(names, feeds)
times, end = [], time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < end:
    start = time.perf_counter_ns()
    session.run(names, feeds)
    times.append(time.perf_counter_ns() - start)
print(json.dumps(float(np.median(times))))
"""

LITERT_BENCHMARK = """
import statistics
from ai_edge_litert.tools import benchmark_litert_model as tool
found, plain = [], statistics.median
tool.statistics.median = lambda times: found.append(plain(times)) or found[-1]
tool.main()
print(found[-1])
"""
"""The tool as it is; it prints its median in hundredths of a millisecond, so the number is caught before."""


def overhead() -> tuple[float, Interval]:
    """Milliseconds of an inference, and the harness's time over the bare loop's, less 1."""
    session = _opened(compressed("resnet20") / "model.int8.onnx")
    found: dict[Block, list[float]] = {_bare: [], _harness: []}
    for number in range(BLOCKS):
        for block in (_bare, _harness) if number % 2 else (_harness, _bare):
            found[block].append(block(session.run))
    groups = {block: np.quantile(np.reshape(times, (GROUPS, -1)), QUIET, axis=1) for block, times in found.items()}
    logs = np.log(groups[_harness] / groups[_bare])
    return float(np.median(found[_bare])) / 1e6, _plain(mean_interval([float(value) for value in logs]))


def _bare(run: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    for _ in range(BLOCK_RUNS):
        run()
    return (time.perf_counter_ns() - start) / BLOCK_RUNS


def _harness(run: Callable[[], object]) -> float:
    """Wall time of the agent's loop as a whole: what reading the clock and keeping the value cost is in it."""
    kept: list[int] = []
    start = time.perf_counter_ns()
    take(run, time.perf_counter_ns, BLOCK_RUNS, kept)
    return (time.perf_counter_ns() - start) / BLOCK_RUNS


def agreement(net: str, name: str) -> tuple[float, Interval]:
    """Our median in ms, and ours over the other tool's, less 1, over interleaved processes."""
    path = compressed(net) / name
    other = _litert_benchmark if path.suffix == ".tflite" else _perf_test
    ours, logs = [], []
    for number in range(ROUNDS):
        order = (_agent, other) if number % 2 else (other, _agent)
        found = {tool: tool(path) for tool in order}
        ours.append(found[_agent])
        logs.append(float(np.log(found[_agent] / found[other])))
        print(net, name, found, file=sys.stderr, flush=True)
    return float(np.median(ours)) / 1e6, _plain(mean_interval(logs))


def _agent(path: Path) -> float:
    device = LocalDevice()
    try:
        device.push({NAME: agent_bytes(), path.name: path})
        runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
        plan = jobs.wall_plan(BenchSettings(duration_s=PROCESS_S, max_runs=10**9, warmup_s=1.0))
        answers = Answers()
        converse(device, jobs.job([Subject(path.name, runtime)], seed=0, steady=plan), answers, stop=threading.Event())
        return float(np.median(answers.samples[0]))
    finally:
        device.close()


def _perf_test(path: Path) -> float:
    words = [sys.executable, "-c", PERF_TEST, str(path), str(PROCESS_S)]
    return float(json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout))


def _litert_benchmark(path: Path) -> float:
    """As many inferences as take about as long as ours."""
    runs = max(50, int(PROCESS_S * 1e9 / _bare(_opened(path).run)))
    words = [
        sys.executable,
        "-c",
        LITERT_BENCHMARK,
        "--model",
        str(path),
        "--num_threads",
        "1",
        "--num_runs",
        str(runs),
    ]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    return float(done.stdout.splitlines()[-1]) * 1e6


def _opened(path: Path) -> Session:
    runtime = "litert" if path.suffix == ".tflite" else "onnxruntime"
    module, _ = import_runtime(runtime)
    session = open_session(module, {**Subject(str(path), runtime).to_json(), "file": str(path)})
    session.feed(next(feeds(session, draw_inputs(session.inputs, 1, 0))))
    for _ in range(50):
        session.run()
    return session


def _plain(logs: Interval) -> Interval:
    return Interval(*(float(np.expm1(value)) for value in (logs.estimate, logs.low, logs.high)), logs.confidence)


def main() -> None:
    """Write the two tables."""
    inference_ms, cost = overhead()
    rows = [("the agent's loop against a bare one, ResNet-20 int8", f"{inference_ms:.2f} ms", *_cells(cost))]
    data = {"overhead": {"inference_ms": inference_ms, "change": [cost.estimate, cost.low, cost.high]}}
    for net, name in FILES:
        ours_ms, change = agreement(net, name)
        other = "`litert-benchmark`" if name.endswith(".tflite") else "a loop like `onnxruntime_perf_test`"
        rows.append((f"{net} `{name}` against {other}", f"{ours_ms:.3f} ms", *_cells(change)))
        data[f"{net}/{name}"] = {"ours_ms": ours_ms, "change": [change.estimate, change.low, change.high]}
    text = table.markdown(HEADER, rows)
    print(text)
    table.keep("harness", data, text)


def _cells(change: Interval) -> tuple[str, str]:
    return f"{1 + change.estimate:.4f}", f"{1 + change.low:.4f} to {1 + change.high:.4f}"


if __name__ == "__main__":
    main()
