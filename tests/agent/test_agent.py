"""The agent as a device runs it: one packed file, a job on its input, events on its output."""

from __future__ import annotations

import ast
import io
import json
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.agent import counters
from edgekit.agent.counters import own_cost
from edgekit.agent.events import RefusalError
from edgekit.bench import jobs
from edgekit.bench.agent_file import agent_bytes
from edgekit.bench.artifacts import collect
from edgekit.bench.jobs import Subject
from edgekit.emit.exporter import float_artifact
from edgekit.types.bench import BenchSettings
from tests.agent.profiled import net

SOURCES = sorted(Path(str(resources.files("edgekit.agent"))).glob("*.py"))
QUICK = BenchSettings(duration_s=0.05, warmup_s=0.2, min_runs=5, max_runs=50)


@pytest.fixture
def place(tmp_path: Path, artifacts: Path) -> Path:
    """A device's folder: the agent and the artifacts."""
    (tmp_path / "agent.pyz").write_bytes(agent_bytes())
    for path in artifacts.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def subject(place: Path, name: str, **more: Any) -> Subject:
    file = next(file for file in collect([place / name]))
    return Subject(name, file.artifact.runtime, border=file.border, **more)


def run(place: Path, job: str, *, python: tuple[str, ...] = (sys.executable,)) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and events of one job."""
    with subprocess.Popen(
        [*python, "agent.pyz"],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(job)
        process.stdin.flush()
        events = [json.loads(line) for line in process.stdout]
        process.stdin.close()
        process.stderr.read()
        return process.wait(30), events


def only(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_needs_the_standard_library_of_python_3_8_only(path: Path) -> None:
    """What is imported when a module is; runtimes and numpy are imported inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    for name in top_imports(tree):
        assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("edgekit.agent"), name
    annotated = any(isinstance(node, ast.AnnAssign | ast.FunctionDef) for node in ast.walk(tree))
    assert not annotated or "from __future__ import annotations" in path.read_text(encoding="utf-8")


def top_imports(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_method_of_later_pythons() -> None:
    """Names that Python 3.8 has not got and that are easily written; its grammar alone does not tell."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    for later in (
        ".removeprefix(",
        ".removesuffix(",
        "itertools.pairwise",
        "strict=",
        "math.lcm",
        "str | None =",
        " match ",
    ):
        assert later not in text, later


def test_the_packed_file_is_the_same_every_time_and_holds_nothing_else() -> None:
    assert agent_bytes() == agent_bytes()
    with zipfile.ZipFile(io.BytesIO(agent_bytes())) as archive:
        names = archive.namelist()
    assert sorted(names) == names
    assert {"__main__.py", "edgekit/__init__.py"} <= set(names)
    assert all(name.startswith("edgekit/agent/") for name in set(names) - {"__main__.py", "edgekit/__init__.py"})


@pytest.mark.parametrize("name", ["net.int8.onnx", "net.int8.tflite"])
def test_a_measurement(place: Path, name: str) -> None:
    job = jobs.job([subject(place, name)], seed=0, steady=jobs.wall_plan(QUICK), sensor_seconds=0.01)
    code, events = run(place, job)
    assert code == 0
    names = [event["event"] for event in events]
    assert names[:4] == ["environment", "import", "load", "first"]
    assert names[-1] == "done"
    samples = [value for event in only(events, "samples") for value in event["values"]]
    assert 5 <= len(samples) <= 50
    assert all(0 < value < 1e9 for value in samples)
    assert only(events, "warm")[0]["runs"] >= 5
    assert only(events, "memory")[0]["peak_rss_bytes"] > 10_000_000
    assert [event["when"] for event in only(events, "environment")] == ["before", "after"]
    assert only(events, "sensors")[0]["at_s"] >= 0


def test_samples_are_the_time_of_an_inference(place: Path) -> None:
    """The sum of all samples is nearly the wall time of the steady state: nothing is left out or counted twice."""
    settings = BenchSettings(duration_s=0.4, warmup_s=0.2, min_runs=5, max_runs=10**9)
    _, events = run(place, jobs.job([subject(place, "net.int8.onnx")], seed=0, steady=jobs.wall_plan(settings)))
    total = sum(value for event in only(events, "samples") for value in event["values"]) / 1e9
    seconds = only(events, "steady")[0]["seconds"]
    assert 0.5 * seconds < total <= seconds


def test_two_subjects_take_turns(place: Path) -> None:
    pair = [subject(place, "net.int8.onnx"), subject(place, "net.fp32.onnx")]
    _, events = run(place, jobs.job(pair, seed=0, steady=jobs.wall_plan(QUICK)))
    by_subject: dict[int, int] = {0: 0, 1: 0}
    for event in only(events, "samples"):
        by_subject[event["subject"]] += len(event["values"])
        assert len(event["values"]) % event["per_turn"] == 0
    assert by_subject[0] == by_subject[1] >= 5


def test_golden_outputs_are_those_of_the_runtime(place: Path) -> None:
    """In the model's axis order, and the same numbers for the .onnx and the .tflite of one quantized graph."""
    names = ["net.int8.onnx", "net.int8.tflite"]
    values = np.random.default_rng(1).uniform(-1, 1, (6, 1, 3, 16, 16)).astype(np.float32)
    np.savez(place / "inputs.npz", x0=values, labels=np.zeros(6, np.int64))
    job = jobs.job([subject(place, name) for name in names], seed=0, inputs="inputs.npz", golden=["a.npz", "b.npz"])
    code, events = run(place, job)
    assert code == 0
    first, second = (dict(np.load(place / name))["output_0"] for name in ("a.npz", "b.npz"))
    assert first.shape == second.shape == (6, 1, 8, 8, 8)
    step = np.diff(np.unique(second)).min()
    assert np.abs(first - second).max() <= 4.01 * step
    assert len(np.unique(first)) > 10
    assert [event["samples"] for event in only(events, "golden")] == [6, 6]
    assert all(event["correct"] is not None for event in only(events, "golden"))


def test_random_inputs_are_the_same_in_every_process(place: Path) -> None:
    digests = set()
    for _ in range(2):
        job = jobs.job([subject(place, "net.int8.tflite")], seed=3, golden=["a.npz"])
        digests.add(only(run(place, job)[1], "golden")[0]["digest"])
    other = jobs.job([subject(place, "net.int8.tflite")], seed=4, golden=["a.npz"])
    assert len(digests) == 1
    assert only(run(place, other)[1], "golden")[0]["digest"] not in digests


def test_a_profile_names_modules(place: Path) -> None:
    job = jobs.job([subject(place, "net.int8.onnx")], seed=0, profile=(sys.executable,))
    operators = only(run(place, job)[1], "profile")[0]["operators"]
    assert any(operator["name"].startswith("block.1/") for operator in operators)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"schema": "edgekit.job/9"}, "bad-job"),
        ({"subjects": [{"file": "broken.onnx"}]}, "refused"),
        ({"subjects": [{"provider": "tensorrt"}]}, "no-provider"),
        ({"inputs": "nothing.npz"}, "bad-job"),
    ],
)
def test_what_it_cannot_do_it_says(place: Path, change: dict[str, Any], kind: str) -> None:
    (place / "broken.onnx").write_bytes(b"no model")
    job = json.loads(jobs.job([subject(place, "net.int8.onnx")], seed=0, steady=jobs.wall_plan(QUICK)))
    if "subjects" in change:
        change = {"subjects": [{**job["subjects"][0], **change["subjects"][0]}]}
    code, events = run(place, json.dumps({**job, **change}) + "\n")
    assert code == 1
    assert events[-1]["event"] == "error"
    assert events[-1]["kind"] == kind


def test_one_refused_file_does_not_keep_the_others_from_their_golden_inputs(place: Path) -> None:
    (place / "broken.onnx").write_bytes(b"no model")
    subjects = [Subject("broken.onnx", "onnxruntime"), subject(place, "net.int8.onnx")]
    code, events = run(place, jobs.job(subjects, seed=0, golden=["a.npz", "b.npz"]))
    assert code == 0
    assert only(events, "refused")[0]["subject"] == 0
    assert [event["subject"] for event in only(events, "golden")] == [1]


def test_garbage_is_a_bad_job(place: Path) -> None:
    for text in ("", "{", "[]\n", "null\n", '{"schema":"edgekit.job/1"}\n'):
        code, events = run(place, text if text.endswith("\n") else text + "\n")
        assert code == 1
        assert events[-1]["kind"] == "bad-job"


def test_ends_when_its_input_does(place: Path) -> None:
    """The host is gone: nothing may go on running on the device."""
    settings = BenchSettings(duration_s=60, max_runs=10**9)
    job = jobs.job([subject(place, "net.int8.onnx")], seed=0, steady=jobs.wall_plan(settings))
    process = subprocess.Popen(
        [sys.executable, "agent.pyz"], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(job)
    process.stdin.flush()
    while json.loads(process.stdout.readline())["event"] != "samples":
        pass
    began = time.monotonic()
    process.stdin.close()
    assert process.wait(10) == 3
    assert time.monotonic() - began < 5
    process.stdout.close()


def test_own_cost_is_what_two_readings_part_by() -> None:
    counts = iter(range(0, 100_000, 7))
    assert own_cost(lambda: next(counts)) == 7


def test_a_file_that_loads_and_does_not_run_leaves_the_others_too(place: Path) -> None:
    """The gate tells by this whether head alone is refused."""
    np.savez(place / "x.npz", x0=np.zeros((2, 3, 16, 16), np.float32))
    float_artifact(net(side=8, channels=8).graph, place / "small.onnx", metadata={})
    subjects = [subject(place, "net.int8.onnx"), subject(place, "small.onnx")]
    code, events = run(place, jobs.job(subjects, seed=0, inputs="x.npz"))
    assert code == 0
    assert [event["subject"] for event in only(events, "refused")] == [1]
    assert [event["subject"] for event in only(events, "first")] == [0]


@pytest.mark.parametrize(
    ("reading", "words"), [((900, 5, 5), None), ((900, 9_000_000, 4_000_000), "4 of 9 ms"), ((0, 5, 5), "counted only")]
)
def test_a_counter_that_did_not_run_all_the_time_is_refused(
    reading: tuple[int, int, int], words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others use the processor's counters too, and one of a core of another kind does not count what runs elsewhere."""
    monkeypatch.setattr(counters, "_open_instructions", lambda: -1)
    monkeypatch.setattr(counters.os, "read", lambda descriptor, size: struct.pack("<QQQ", *reading))
    count, check = counters.open_counter(counters.INSTRUCTIONS)
    assert count() == reading[0]
    if words is None:
        check()
        return
    with pytest.raises(RefusalError, match=words):
        check()
