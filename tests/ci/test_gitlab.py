"""The GitLab template: its jobs as GitLab runs them, `extends` resolved, one shell for all lines."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ci.conftest import ROOT, Desk
from tests.ci.executor import check_syntax, load
from tests.ci.test_action import HOSTILE_INPUTS

TEMPLATE = ROOT / "ci" / "gitlab.yml"
JOBS = load(TEMPLATE)


def resolve(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what it extends merged in: tables deeply, everything else replaced."""
    parent = resolve(JOBS[job["extends"]]) if "extends" in job else {}
    return merge(parent, {key: value for key, value in job.items() if key != "extends"})


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), dict)
        merged[key] = merge(below[key], value) if both else value
    return merged


def lines(job: Mapping[str, Any]) -> str:
    return "\n".join([*job["before_script"], *job["script"]])


def run(desk: Desk, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    job = resolve({"extends": name, "variables": {"EDGEKIT_PREINSTALLED": "1", **variables}})
    environment = {**desk.executor.environment, "CI_COMMIT_SHA": "c" * 40, **job["variables"]}
    return subprocess.run(
        ["bash", "-c", f"set -eo pipefail\n{lines(job)}"],
        cwd=desk.workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_base_and_head_are_compared(desk: Desk) -> None:
    ended = run(desk, ".edgekit-compare", EDGEKIT_BASE="base/models", EDGEKIT_HEAD="models", EDGEKIT_GATE="gate.toml")
    assert ended.returncode == 0, ended.stderr
    assert desk.calls == [
        ["bench", "compare", "--on=local:", "--gate=gate.toml", "--out=edgekit-bench", "--", "base/models", "models"],
    ]  # fmt: skip


def test_artifacts_are_measured_and_remembered(desk: Desk) -> None:
    ended = run(
        desk,
        ".edgekit-bench",
        EDGEKIT_ARTIFACTS="a model.onnx\nb.tflite\n",
        EDGEKIT_ON="local:\nssh://pi@pi",
        EDGEKIT_HISTORY="h.sqlite",
        EDGEKIT_ARGS="--threads 1,2",
    )
    assert ended.returncode == 0, ended.stderr
    assert desk.calls == [
        ["bench", "--on=local:", "--on=ssh://pi@pi", "--history=h.sqlite", f"--revision={'c' * 40}",
         "--out=edgekit-bench", "--threads", "1,2", "--", "a model.onnx", "b.tflite"],
    ]  # fmt: skip


@pytest.mark.parametrize("code", [2, 4, 5])
def test_the_exit_code_is_the_jobs(desk: Desk, code: int) -> None:
    desk.executor.environment["COMPARE_ENDS"] = str(code)
    assert run(desk, ".edgekit-compare", EDGEKIT_BASE="a", EDGEKIT_HEAD="b").returncode == code


@pytest.mark.parametrize("name", [".edgekit-compare", ".edgekit-bench"])
def test_reports_are_kept_also_of_a_failed_job(desk: Desk, name: str) -> None:
    job = resolve({"extends": name})
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["paths"] == ["edgekit-bench"]
    run(desk, name, EDGEKIT_BASE="a", EDGEKIT_HEAD="b", EDGEKIT_ARTIFACTS="c")
    assert (desk.workspace / job["artifacts"]["reports"]["junit"]).is_file()


@pytest.mark.parametrize("name", [".edgekit-compare", ".edgekit-bench"])
@pytest.mark.parametrize("hostile", HOSTILE_INPUTS)
def test_a_variable_never_becomes_a_command(desk: Desk, name: str, hostile: str) -> None:
    own = {key: hostile for key in resolve({"extends": name})["variables"] if key != "EDGEKIT_PACKAGE"}
    assert run(desk, name, **own).returncode == 0
    assert not list(desk.workspace.parent.rglob("pwned"))
    flags = desk.calls[0][: desk.calls[0].index("--")]
    assert flags[-len(hostile.split()) :] == hostile.split()


@pytest.mark.parametrize("name", [".edgekit-compare", ".edgekit-bench"])
def test_scripts_are_sound(name: str) -> None:
    assert check_syntax(lines(resolve({"extends": name}))) == ""


def test_the_package_is_ours(desk: Desk, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$@" > "$CALLS.python"\n')
    python.chmod(0o755)
    assert run(desk, ".edgekit-bench", EDGEKIT_PREINSTALLED="", EDGEKIT_ARTIFACTS="models").returncode == 0
    words = (tmp_path / "calls.jsonl.python").read_text().splitlines()
    assert words[:3] == ["-m", "pip", "install"]
    assert words[-1] == "edgekit-ml[bench,run]"
