"""Without Accelerate, the training functions say what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules["accelerate"] = None
from edgekit.errors import MissingExtraError
try:
    from edgekit.training.{module} import {name}
except MissingExtraError as error:
    print(error, "|", error.hint)
"""


@pytest.mark.parametrize(("module", "name"), [("distilling", "distill"), ("fit", "finetune")])
def test_names_the_extra_to_install(module: str, name: str) -> None:
    script = WITHOUT.format(module=module, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "this needs the package 'accelerate', which is not installed" in done.stdout
    assert "pip install 'edgekit-ml[train]'" in done.stdout
