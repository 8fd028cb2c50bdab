"""action.yml, run step by step: what it calls, what it hands on, and that no input becomes a command."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from edgekit.report.bench.files import BENCH_FILES, GATE_FILES
from tests.ci.conftest import ROOT, Desk
from tests.ci.executor import PINNED, Run, check_syntax, load, scripts

ACTION = load(ROOT / "action.yml")
STEPS = ACTION["runs"]["steps"]
HOSTILE = '"; touch pwned; "'
HOSTILE_INPUTS = [HOSTILE, "$(touch pwned)", "`touch pwned`", "' ; touch pwned #", "a && touch pwned", "*"]


def act(desk: Desk, **inputs: str) -> Run:
    return desk.executor.run_action(ROOT, {name.replace("_", "-"): value for name, value in inputs.items()})


def test_base_and_head_are_compared_on_every_device(desk: Desk) -> None:
    run = act(desk, base="base/models", head="head/models", on="local:\n  ssh://pi@pi:22 \n\n", gate="gate.toml")
    assert desk.calls == [
        ["bench", "compare", "--on=local:", "--on=ssh://pi@pi:22", "--gate=gate.toml", "--out=edgekit-bench",
         "--", "base/models", "head/models"],
    ]  # fmt: skip
    assert run.code == 0
    assert run.outputs == {"verdict": "passed", "report": "edgekit-bench/gate.json", "page": ""}
    assert desk.summary == "gate.md of compare\n"
    assert desk.uploads == {"edgekit-bench": sorted(GATE_FILES)}
    assert run.conclusion("Measure") == "skipped"


def test_artifacts_are_measured_and_remembered(desk: Desk) -> None:
    run = act(desk, artifacts=" a model.onnx\t\n\nmodels", history="h.sqlite", extra_args="--threads 1,2\n  --profile")
    assert desk.calls == [
        ["bench", "--on=local:", "--history=h.sqlite", f"--revision={'0' * 40}", "--out=edgekit-bench",
         "--threads", "1,2", "--profile", "--", "a model.onnx", "models"],
    ]  # fmt: skip
    assert run.outputs == {
        "verdict": "passed",
        "report": "edgekit-bench/report.json",
        "page": "edgekit-bench/index.html",
    }
    assert desk.summary == "report.md of bench\n"
    assert run.conclusion("Compare") == "skipped"


def test_both_in_one(desk: Desk) -> None:
    run = act(desk, artifacts="models", base="old", head="models", out="some where", extra_args="--budget 20")
    bench, compare = desk.calls
    assert bench == ["bench", "--on=local:", "--out=some where", "--", "models"], "flags go to the comparison"
    assert compare[-6:] == ["--out=some where", "--budget", "20", "--", "old", "models"]
    assert run.outputs["report"] == "some where/gate.json"
    assert run.outputs["page"] == "some where/index.html"
    assert desk.summary == "gate.md of compare\nreport.md of bench\n"
    assert desk.uploads["edgekit-bench"] == sorted([*BENCH_FILES, *GATE_FILES])


@pytest.mark.parametrize(
    ("bench", "compare", "code", "verdict"),
    [
        (0, 0, 0, "passed"),
        (0, 4, 4, "failed"),
        (4, 0, 4, "failed"),
        (5, 4, 4, "failed"),
        (4, 5, 5, "error"),
        (5, 0, 5, "error"),
        (0, 2, 2, "error"),
        (1, 0, 1, "error"),
    ],
)
def test_the_exit_code_decides_after_everything_is_told(
    desk: Desk, bench: int, compare: int, code: int, verdict: str
) -> None:
    desk.executor.environment |= {"BENCH_ENDS": str(bench), "COMPARE_ENDS": str(compare)}
    run = act(desk, artifacts="models", base="old", head="models")
    assert len(desk.calls) == 2
    assert run.code == code
    assert run.outputs["verdict"] == verdict
    assert [step.name for step in run.steps if step.conclusion == "failure"] == (["Decide"] if code else [])
    assert (f"::error title=edgekit::{verdict}, exit code {code}" in run.log) == (code != 0)
    assert ("ended with exit code" in desk.summary) == (verdict == "error")
    assert ("gate.md" in desk.summary) == (compare in (0, 4))
    assert "edgekit-bench" in desk.uploads


def test_reports_of_an_earlier_call_are_not_told_again(desk: Desk) -> None:
    act(desk, base="old", head="new")
    desk.executor.environment["COMPARE_ENDS"] = "5"
    assert act(desk, base="old", head="new", upload="second").outputs["report"] == ""
    assert desk.summary.count("gate.md") == 1
    desk.executor.environment["COMPARE_ENDS"] = "0"
    act(desk, base="old", head="new", upload="third")
    assert act(desk, artifacts="models", upload="fourth").outputs["report"].endswith("report.json")
    assert desk.summary.count("gate.md") == 2


def test_nothing_is_said_or_uploaded_where_that_is_not_wanted(desk: Desk) -> None:
    desk.executor.environment["COMPARE_ENDS"] = "4"
    assert act(desk, base="old", head="new", comment="false", upload="", python_version="").code == 4
    assert desk.summary == ""
    assert desk.uploads == {}
    assert "actions/setup-python" not in desk.used


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "give 'artifacts', or 'base' and 'head'"),
        ({"base": "old"}, "no 'head'"),
        ({"head": "new", "artifacts": "models"}, "no 'base'"),
        ({"artifacts": "models", "out": "a\nverdict=passed"}, "'out' has to be one line"),
        ({"artifacts": "models", "out": ""}, "'out' has to be one line"),
    ],
)
def test_inputs_that_make_no_sense_are_refused_first(desk: Desk, inputs: dict[str, str], message: str) -> None:
    run = act(desk, **inputs)
    assert run.code == 2
    assert message in run.log
    assert {step.conclusion for step in run.steps[1:]} == {"skipped"}
    assert desk.calls == []


@pytest.mark.parametrize("hostile", HOSTILE_INPUTS)
@pytest.mark.parametrize("name", sorted(set(ACTION["inputs"]) - {"python-version", "upload"}))
def test_an_input_never_becomes_a_command(desk: Desk, name: str, hostile: str) -> None:
    inputs = {"artifacts": "models", "base": "old", "head": "new", name: hostile}
    run = desk.executor.run_action(ROOT, inputs)
    assert run.code == 0, run.log
    assert not list(desk.workspace.parent.rglob("pwned"))
    words = [word for call in desk.calls for word in call]
    if name == "extra-args":
        flags = desk.calls[1][: desk.calls[1].index("--")]
        assert flags[-len(hostile.split()) :] == hostile.split()
    elif name not in ("comment", "history"):
        assert any(word.endswith(hostile) for word in words)


def test_history_is_inert_too(desk: Desk) -> None:
    act(desk, artifacts="models", history=HOSTILE)
    assert f"--history={HOSTILE}" in desk.calls[0]
    assert not list(desk.workspace.parent.rglob("pwned"))


def test_no_expression_stands_in_a_script() -> None:
    assert len(scripts(STEPS)) >= 5
    for name, script in scripts(STEPS):
        assert "${{" not in script, name


@pytest.mark.parametrize(("name", "script"), scripts(STEPS))
def test_scripts_are_sound(name: str, script: str) -> None:
    assert check_syntax(script) == ""


def test_the_check_of_scripts_can_fail() -> None:
    assert "syntax error" in check_syntax("if true; then")


def test_every_input_is_used_and_described() -> None:
    text = (ROOT / "action.yml").read_text()
    for name, entry in ACTION["inputs"].items():
        assert entry["description"]
        assert "default" in entry, name
        assert f"inputs.{name}" in text, name


def test_actions_of_others_are_pinned_and_say_their_version() -> None:
    lines = [line.strip() for line in (ROOT / "action.yml").read_text().splitlines() if "uses:" in line]
    assert len(lines) == 2
    for line in lines:
        found = re.fullmatch(r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+", line)
        assert found, line
        assert found[1] in PINNED, line


def test_the_installation_is_of_this_checkout_with_extras_that_exist(desk: Desk, tmp_path: Path) -> None:
    """The step is run with a `python` that writes down what it was asked."""
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$@" > "$CALLS.python"\n')
    python.chmod(0o755)
    desk.executor.environment["EDGEKIT_ACTION_PREINSTALLED"] = ""
    assert act(desk, artifacts="models").code == 0
    words = (tmp_path / "calls.jsonl.python").read_text().splitlines()
    assert words[:3] == ["-m", "pip", "install"]
    place, _, extras = words[-1].partition("[")
    assert Path(place) == ROOT
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.removesuffix("]").split(",")) <= set(project["optional-dependencies"])
    assert project["name"] == "edgekit-ml"


def test_a_failing_installation_ends_the_job(desk: Desk, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/bash\nexit 1\n")
    python.chmod(0o755)
    desk.executor.environment["EDGEKIT_ACTION_PREINSTALLED"] = ""
    run = act(desk, artifacts="models")
    assert run.code == 1
    assert desk.calls == []
