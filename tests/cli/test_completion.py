from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.cli.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_asks_edgekit(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_EDGEKIT_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_verb_and_a_flag() -> None:
    program = Path(sys.executable).with_name("edgekit")
    for line, expected in (
        ("edgekit comp", "plain,compress\nplain,completion\n"),
        ("edgekit compress --form", "plain,--formats\n"),
        ("edgekit compress x --for arm,q", "plain,arm,qnn\n"),
        ("edgekit inspect x --for arm,q", "plain,arm,qnn\n"),
        ("edgekit demo res", "plain,resnet8\n"),
    ):
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_EDGEKIT_COMPLETE": "bash_complete"}
        done = subprocess.run([program], env={**os.environ, **words}, capture_output=True, text=True, check=False)
        assert done.stdout == expected
