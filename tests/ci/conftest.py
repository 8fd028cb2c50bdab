"""A workspace to run CI files in, and an `edgekit` that writes down what it was called with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgekit.report.bench.files import BENCH_FILES, GATE_FILES
from tests.ci.executor import Executor

ROOT = Path(__file__).parents[2]
ACTION = "OWNER/edgekit@COMMIT"

STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys
words = sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words == ["--version"]:
    print("edgekit, version 0.0.0")
    sys.exit()
comparing = words[:2] == ["bench", "compare"]
code = int(os.environ.get("COMPARE_ENDS" if comparing else "BENCH_ENDS", "0"))
out = pathlib.Path(next(word for word in words if word.startswith("--out=")).removeprefix("--out="))
if code in (0, 4):
    out.mkdir(parents=True, exist_ok=True)
    names = {" ".join(GATE_FILES)!r} if comparing else {" ".join(BENCH_FILES)!r}
    for name in names.split():
        (out / name).write_text(f"{{name}} of {{'compare' if comparing else 'bench'}}\\n")
sys.exit(code)
"""


@dataclass
class Desk:
    """A place where CI files are run.

    Attributes:
        executor: The runner.
        workspace: Its working directory.
        uploads: Name -> files that were uploaded as one artifact.
        used: Inputs of the other foreign actions, by name.
    """

    workspace: Path
    calls_file: Path
    executor: Executor = field(init=False)
    uploads: dict[str, list[str]] = field(default_factory=dict)
    used: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)

    def foreign(self, action: str, given: Mapping[str, str]) -> None:
        """What stands in for the actions of others."""
        self.used.setdefault(action, []).append(given)
        if action == "actions/checkout":
            models = self.workspace / given.get("path", ".") / "models"
            models.mkdir(parents=True)
        elif action == "actions/upload-artifact":
            folder = self.workspace / given["path"]
            assert given["name"] not in self.uploads, "a second artifact of this name would be refused"
            self.uploads[given["name"]] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))

    @property
    def calls(self) -> list[list[str]]:
        """What the stand-in was called with, `--version` left out."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [call for call in map(json.loads, lines) if call != ["--version"]]

    @property
    def summary(self) -> str:
        """What the summary of the job holds."""
        return self.executor.summary.read_text() if self.executor.summary.exists() else ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose PATH begins with the stand-in. BENCH_ENDS and COMPARE_ENDS in the environment are its exit codes."""
    workspace, programs = tmp_path / "workspace", tmp_path / "bin"
    workspace.mkdir()
    programs.mkdir()
    (programs / "edgekit").write_text(STAND_IN)
    (programs / "edgekit").chmod(0o755)
    made = Desk(workspace, tmp_path / "calls.jsonl")
    environment = {
        "PATH": os.pathsep.join([str(programs), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "CALLS": str(made.calls_file),
        "EDGEKIT_ACTION_PREINSTALLED": "1",
    }
    made.executor = Executor(workspace, environment, own={ACTION: ROOT}, foreign=made.foreign)
    return made
