"""docs/ci.md: what may be copied from it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekit.types.gate import GateRecipe
from tests.ci.conftest import ACTION, ROOT
from tests.ci.executor import PINNED, load
from tests.ci.test_gitlab import JOBS, resolve
from tests.test_docs import blocks

PAGE = ROOT / "docs" / "ci.md"
TEXT = PAGE.read_text(encoding="utf-8")
INPUTS = load(ROOT / "action.yml")["inputs"]


class Loader(yaml.BaseLoader):
    """As GitLab reads it: `!reference [JOB, KEY]` is taken from the template."""


Loader.add_constructor("!reference", lambda loader, node: JOBS[node.value[0].value][node.value[1].value])


def documents() -> list[dict[str, Any]]:
    return [yaml.load(block.text, Loader=Loader) for block in blocks(PAGE) if block.language == "yaml"]


def test_the_actions_in_the_page_are_ours_with_inputs_that_exist_or_pinned() -> None:
    steps = [step for each in documents() for job in each.get("jobs", {}).values() for step in job["steps"]]
    used = [step for step in steps if "uses" in step]
    assert len(used) >= 5
    for step in used:
        known = set(INPUTS) if step["uses"] == ACTION else PINNED[step["uses"]]
        assert set(step.get("with", {})) <= known


def test_the_gitlab_job_of_the_page_uses_what_the_template_has() -> None:
    (each,) = [each for each in documents() if "include" in each]
    assert each["include"][0]["file"] == "ci/gitlab.yml"
    job = each["gate"]
    assert job["extends"] in JOBS
    own = {name for name in job["variables"] if name.startswith("EDGEKIT_")}
    assert own <= set(resolve({"extends": job["extends"]})["variables"])


def test_the_limits_of_the_page_can_be_read(tmp_path: Path) -> None:
    (text,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    (tmp_path / "gate.toml").write_text(text)
    assert GateRecipe.load(tmp_path / "gate.toml") == GateRecipe.load(ROOT / "examples" / "ci" / "gate.toml")


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (text,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    exec(compile(text, "ci.md", "exec"), {})
    assert (tmp_path / "history.sqlite").is_file()


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_has_its_row(name: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith("| `") and f"`{name}`" in line.split("|")[1]]
    default = INPUTS[name]["default"]
    assert not default or f"`{default}`" in row
