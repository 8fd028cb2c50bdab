"""docs/channels.md: its commands work from top to bottom, and its table of files is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgekit.channel.mirror import LIMITS
from edgekit.cli.app import run

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")


def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ (edgekit .*)$", PAGE, re.MULTILINE)
    assert len(lines) == 9
    for line in lines:
        assert run(shlex.split(line)[1:]) == 0, line


def test_the_limits_are_those_of_the_code() -> None:
    found = dict(re.findall(r"(root|timestamp|snapshot|families) (\d+) [KM]iB", PAGE.replace("\n", " ")))
    assert int(found["root"]) * 1024 == LIMITS.root_max_length
    assert int(found["timestamp"]) * 1024 == LIMITS.timestamp_max_length
    assert int(found["snapshot"]) * 1024 == LIMITS.snapshot_max_length
    assert int(found["families"]) * 2**20 == LIMITS.targets_max_length
