"""The sample workflow, run step by step with the action of this repository."""

from __future__ import annotations

import re

import pytest

from edgekit.types.gate import GateRecipe
from tests.ci.conftest import ACTION, ROOT, Desk
from tests.ci.executor import PINNED, check_syntax, load, scripts

FOLDER = ROOT / "examples" / "ci"
WORKFLOW = FOLDER / "github-workflow.yml"
JOBS = load(WORKFLOW)["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
PULL_REQUEST = {"event_name": "pull_request", "event.pull_request.base.sha": "b" * 40, "run_id": "1"}
PUSH = {"event_name": "push", "run_id": "17", "event.pull_request.base.sha": ""}


def test_a_pull_request_is_judged_against_its_base(desk: Desk) -> None:
    runs = desk.executor.run_workflow(WORKFLOW, PULL_REQUEST)
    assert set(runs) == {"gate"}
    assert runs["gate"].code == 0, runs["gate"].log
    (call,) = desk.calls
    assert call == [
        "bench", "compare", "--on=local:", "--gate=base/gate.toml", "--out=edgekit-bench",
        "--", "base/models", "head/models",
    ]  # fmt: skip
    assert [given.get("ref") for given in desk.used["actions/checkout"]] == [None, "b" * 40]
    assert "edgekit says passed, see edgekit-bench/gate.json" in runs["gate"].log
    assert desk.summary
    assert desk.uploads


def test_a_regression_fails_the_job_after_it_was_told(desk: Desk) -> None:
    desk.executor.environment["COMPARE_ENDS"] = "4"
    run = desk.executor.run_workflow(WORKFLOW, PULL_REQUEST)["gate"]
    assert run.code == 4
    assert "edgekit says failed" in run.log
    assert desk.uploads


def test_a_push_is_measured_and_remembered(desk: Desk) -> None:
    runs = desk.executor.run_workflow(WORKFLOW, PUSH)
    assert set(runs) == {"track"}
    assert runs["track"].code == 0, runs["track"].log
    (call,) = desk.calls
    assert call[0] == "bench"
    assert "--history=history.sqlite" in call
    assert call[-4:] == ["--threads", "1,2", "--", "models"]
    (cache,) = desk.used["actions/cache"]
    assert cache["path"] == "history.sqlite"
    assert cache["key"] == cache["restore-keys"] + "17"


def test_the_workflow_asks_for_no_rights_and_leaves_no_credentials() -> None:
    assert load(WORKFLOW)["permissions"] == {"contents": "read"}
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 3
    for step in checkouts:
        assert step["with"]["persist-credentials"] == "false"


def test_actions_are_ours_or_pinned() -> None:
    for line in WORKFLOW.read_text().splitlines():
        found = re.search(r"uses: (\S+)(?: # v\d+\.\d+\.\d+)?$", line)
        assert found or "uses:" not in line, line
        assert not found or found[1] == ACTION or found[1] in PINNED, line


@pytest.mark.parametrize(("name", "script"), scripts(STEPS))
def test_scripts_are_sound_and_hold_no_expression(name: str, script: str) -> None:
    assert check_syntax(script) == ""
    assert "${{" not in script


def test_the_sample_limits_can_be_read() -> None:
    recipe = GateRecipe.load(FOLDER / "gate.toml")
    assert recipe == GateRecipe(instructions_limits={"model.int8.tflite": 0.0005}), "the comment says: the defaults"
