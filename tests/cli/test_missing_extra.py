"""The base installation has no torch: a verb that needs it says what to install, and the others work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
for name in ("torch", "onnx", "onnxruntime", "onnxscript", "ai_edge_litert", "skimage", "sklearn", "PIL"):
    sys.modules[name] = None
from edgekit.cli.app import main
main()
"""


def without_extras(*words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process that finds none of the optional packages."""
    return subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["compress", "model.onnx"], "compress"),
        (["inspect", "model.onnx"], "compress"),
        (["inspect", "model.tflite"], "compress"),
        (["operators"], "compress"),
        (["demo"], "demo"),
        (["demo", "resnet8"], "demo"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_names_the_extra_to_install(
    words: list[str], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").touch()
    (tmp_path / "model.tflite").touch()
    done = without_extras(*words)
    assert done.returncode == 2, done.stderr
    assert "error: this needs the package '" in done.stderr
    assert f"hint: install it with: pip install 'edgekit-ml[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["compress", "--help"], ["demo", "--help"], ["completion", "bash"]], ids=" ".join
)
def test_what_needs_no_extra_works(words: list[str]) -> None:
    assert without_extras(*words).returncode == 0
