"""`edgekit --help` answers at once and without torch: CPU time of a fresh process, and what it imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LIMIT_CPU_S = 0.5
HEAVY = ("torch", "onnx", "onnxruntime", "onnxscript", "ai_edge_litert", "numpy", "PIL", "skimage", "sklearn")

PROGRAM = """
import json, resource, sys
from edgekit.cli.app import run
code = run(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_SELF)
found = {"code": code, "cpu_s": usage.ru_utime + usage.ru_stime, "modules": sorted(sys.modules)}
print(json.dumps(found), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["compress", "--help"],
        ["demo", "--help"],
        ["bench", "--help"],
        ["bench", "compare", "--help"],
        ["keys", "--help"],
        ["pack", "--help"],
        ["verify", "--help"],
        ["publish", "--help"],
        ["channel", "init", "--help"],
        ["node", "update", "--help"],
        ["--version"],
        ["completion", "zsh"],
    ],
    ids=" ".join,
)
def test_starts_cold_and_light(words: list[str]) -> None:
    runs = [start(words) for _ in range(3)]
    assert [found["code"] for found in runs] == [0, 0, 0]
    loaded = [name for name in HEAVY if name in runs[0]["modules"]]
    assert not loaded, f"edgekit {' '.join(words)} imports {loaded}"
    best = min(found["cpu_s"] for found in runs)
    assert best < LIMIT_CPU_S, f"{best:.2f} s of CPU"


def test_importing_the_library_is_light() -> None:
    program = "import sys, edgekit; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in HEAVY if name in found]


def start(words: list[str]) -> dict[str, object]:
    """One fresh process; the fastest of a few is the program's own cost, the rest is the machine's."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    assert done.stdout
    found = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(found, dict)
    return found
