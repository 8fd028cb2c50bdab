"""Runs jobs of a GitHub workflow and composite actions here, step by step, as far as ours use them.

`run:` steps are run for real, by bash as GitHub calls it. `uses:` steps are checked against the pinned actions below
and handed to a function of the test; an action of this repository is run step by step itself. Of expressions there are
contexts, texts, `==`, `!=` and `always()`; anything else, and any name that nothing declares, is an error.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PINNED = {
    "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8": {"path", "ref", "lfs", "persist-credentials"},
    "actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c": {"python-version"},
    "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02": {"name", "path"},
    "actions/cache@0057852bfaa89a56745cba8c7296529d2fc39830": {"path", "key", "restore-keys"},
}
"""Foreign actions that may be used, at the commit that was looked at -> the inputs that are known of them."""

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TOKEN = re.compile(r"\s*('[^']*'|==|!=|always\(\)|[A-Za-z_][\w.-]*)")
TIMEOUT_S = 300

Foreign = Callable[[str, Mapping[str, str]], None]
"""Called for a pinned action: its name, its inputs."""


def load(path: Path) -> dict[str, Any]:
    """A YAML file as GitHub reads it: `on` and `true` are texts."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert isinstance(document, dict)
    return document


@dataclass
class Step:
    """What became of a step."""

    name: str
    conclusion: str
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    code: int = 0


@dataclass
class Run:
    """What became of a job or an action."""

    steps: list[Step]
    outputs: dict[str, str]

    @property
    def code(self) -> int:
        """Exit code of the first step that failed."""
        return next((step.code for step in self.steps if step.conclusion == "failure"), 0)

    @property
    def log(self) -> str:
        return "\n".join(step.log for step in self.steps)

    def conclusion(self, name: str) -> str:
        return next(step.conclusion for step in self.steps if step.name == name)


class Executor:
    """A runner: a workspace, an environment that may still be changed, and what stands in for the actions of others."""

    def __init__(self, workspace: Path, environment: Mapping[str, str], *, own: Mapping[str, Path], foreign: Foreign):
        self.workspace = workspace
        self.summary = workspace.parent / "summary.md"
        self.environment = dict(environment)
        self._own = own
        self.foreign = foreign
        self._scratch = workspace.parent / "scratch"
        self._scratch.mkdir()
        self._count = 0

    def run_workflow(self, path: Path, github: Mapping[str, str]) -> dict[str, Run]:
        """The jobs whose condition holds, by name; GitHub's own context is given by dotted names."""
        values = {f"github.{name}": value for name, value in github.items()}
        return {
            name: self._run_steps(job["steps"], values, {})
            for name, job in load(path)["jobs"].items()
            if evaluate(job.get("if", "always()"), Names(values, set()))
        }

    def run_action(self, folder: Path, given: Mapping[str, str]) -> Run:
        """The steps of a composite action."""
        action = load(folder / "action.yml")
        assert action["runs"]["using"] == "composite"
        assert set(given) <= set(action["inputs"]), f"unknown inputs: {set(given) - set(action['inputs'])}"
        inputs = {name: given.get(name, entry["default"]) for name, entry in action["inputs"].items()}
        names = {f"inputs.{name}": value for name, value in inputs.items()}
        return self._run_steps(
            action["runs"]["steps"], names, action.get("outputs", {}), {"GITHUB_ACTION_PATH": str(folder)}
        )

    def _run_steps(
        self,
        steps: list[dict[str, Any]],
        names: Mapping[str, str],
        outputs: Mapping[str, Any],
        extra: Mapping[str, str] | None = None,
    ) -> Run:
        names = dict(names)
        done: list[Step] = []
        ids = {step["id"] for step in steps if "id" in step}
        for step in steps:
            condition = step.get("if", "")
            condition = condition.strip().removeprefix("${{").removesuffix("}}").strip()
            failed = any(one.conclusion == "failure" for one in done)
            known = Names(names, ids)
            wanted = bool(evaluate(condition, known)) if condition else True
            if not wanted or (failed and "always()" not in condition):
                done.append(Step(step.get("name", step.get("uses", "")), "skipped"))
                continue
            result = self._use(step, known) if "uses" in step else self._bash(step, known, extra or {})
            done.append(result)
            if "id" in step:
                names |= {f"steps.{step['id']}.outputs.{name}": value for name, value in result.outputs.items()}
        known = Names(names, ids)
        return Run(done, {name: expand(entry["value"], known) for name, entry in outputs.items()})

    def _use(self, step: Mapping[str, Any], names: Names) -> Step:
        action = step["uses"]
        given = {name: expand(value, names) for name, value in step.get("with", {}).items()}
        title = step.get("name", action)
        if action in self._own:
            run = self.run_action(self._own[action], given)
            return Step(title, "failure" if run.code else "success", run.outputs, run.log, run.code)
        assert action in PINNED, f"{action} is not among the actions that were looked at"
        assert set(given) <= PINNED[action], f"{action} has no inputs {set(given) - PINNED[action]}"
        self.foreign(action.partition("@")[0], given)
        return Step(title, "success")

    def _bash(self, step: Mapping[str, Any], names: Names, extra: Mapping[str, str]) -> Step:
        self._count += 1
        script, output = (self._scratch / f"{self._count}.{end}" for end in ("sh", "output"))
        script.write_text(step["run"], encoding="utf-8")
        output.touch()
        environment = {
            **self.environment,
            **extra,
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SHA": "0" * 40,
            **{name: expand(value, names) for name, value in step.get("env", {}).items()},
        }
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        lines = output.read_text(encoding="utf-8").splitlines()
        assert all("=" in line for line in lines), f"not understood in GITHUB_OUTPUT: {lines}"
        outputs = dict(line.split("=", 1) for line in lines)
        conclusion = "failure" if ended.returncode else "success"
        return Step(step.get("name", ""), conclusion, outputs, ended.stdout, ended.returncode)


class Names:
    """What expressions may name: declared values, and outputs of declared steps (empty until they are written)."""

    def __init__(self, values: Mapping[str, str], steps: set[str]):
        self._values = values
        self._steps = steps

    def value(self, name: str) -> str:
        parts = name.split(".")
        if len(parts) == 4 and parts[0] == "steps" and parts[1] in self._steps and parts[2] == "outputs":
            return self._values.get(name, "")
        assert name in self._values, f"nothing declares {name}"
        return self._values[name]


def expand(text: str, names: Names) -> str:
    """A value with its expressions evaluated."""
    return EXPRESSION.sub(lambda found: str(evaluate(found[1].strip(), names)), text)


def evaluate(text: str, names: Names) -> str | bool:
    """An expression: a context, `always()`, or two contexts or texts compared."""
    words = [found[0].strip() for found in TOKEN.finditer(text)]
    assert "".join(words) == "".join(text.split()), f"not understood in an expression: {text}"

    def operand(word: str) -> str:
        return word[1:-1] if word.startswith("'") else names.value(word)

    if words == ["always()"]:
        return True
    if len(words) == 1:
        return operand(words[0])
    assert len(words) == 3, f"not understood in an expression: {text}"
    # GitHub compares texts without regard to case.
    return (operand(words[0]).lower() == operand(words[2]).lower()) == (words[1] == "==")


def scripts(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and script of every `run:` step."""
    return [(step.get("name", ""), step["run"]) for step in steps if "run" in step]


def check_syntax(script: str) -> str:
    """What bash says of a script without running it; "" when it is sound."""
    return subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).stderr
