"""A few thousand mutants of every kind; that misdeeds are found, and that a case can be done again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.campaign import every_kind, shares
from tests.fuzz.planted import FINE, MISDEEDS
from tests.fuzz.specimens import Specimens

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watch looks into /proc: run it on Linux")

ROOT = Path(__file__).parents[2]
CASES = 900
"""Of each half of the kinds; `make fuzz` runs 100,000."""
NAMES = [kind.name for kind in every_kind(Specimens(Path("none of them is made here")))]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: its audit hook stays for life."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("kinds", [NAMES[::2], NAMES[1::2]], ids=["even", "odd"])
def test_nothing_is_found(kinds: list[str], tmp_path: Path) -> None:
    chosen = [word for name in kinds for word in ("--kind", name)]
    done = run_python(
        "tests.fuzz", "--cases", str(CASES), "--seed", "tests", "--processes", "0", "--out", str(tmp_path), *chosen
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in kinds:
        cases, accepted, refused = map(int, re.findall(rf"\| {name} \| (\d+) \| (\d+) \| (\d+) ", done.stdout)[0])
        assert cases == accepted + refused >= 20, name
    assert not list(tmp_path.iterdir())


def test_misdeeds_are_found(tmp_path: Path) -> None:
    done = run_python("tests.fuzz.planted", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = {name: failures for name, _, failures in (line.partition("\t") for line in done.stdout.splitlines())}
    assert {name for name, failures in found.items() if not failures} == {deed.__name__ for deed in FINE}
    assert set(found) == {deed.__name__ for deed in (*FINE, *MISDEEDS)}
    expected = {
        "write_outside": "outside of its folder: open", "write_through_link": "outside of its folder: open",
        "read_outside": "outside of its folder: open", "start_program": "outside of its folder: os.system",
        "crash": "KeyError", "break_law": "LawError: it was accepted", "take_memory": "MiB are allowed",
        "take_time": "TooSlowError: no end after", "leave_open": "1 files were left open",
    }  # fmt: skip
    for name, text in expected.items():
        assert text in found[name], (name, found[name])
    assert not (tmp_path / "bench" / "outside" / "more").exists()
    saved = (tmp_path / "found" / "seed-planted-kind-crash-case-0" / "fault.txt").read_text()
    assert "-m tests.fuzz --seed planted --kind crash --case 0" in saved


def test_a_case_is_done_again() -> None:
    done = run_python("tests.fuzz", "--kind", "manifest", "--case", "3", "--seed", "tests")
    assert done.returncode == 0, done.stderr
    assert re.search(r"it ends as (accepted|\w+Error): \d+ ms", done.stdout)


def test_shares_are_about_what_was_asked_for() -> None:
    counts = shares(list(every_kind(Specimens(Path("nowhere")))), 100_000)
    assert abs(sum(counts.values()) - 100_000) < len(counts)
    assert min(counts.values()) >= 1_000
