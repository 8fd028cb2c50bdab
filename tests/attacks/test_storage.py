"""Where the files go: folders that cannot be written, full disks, interruptions; no trace of a run that failed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli.app import run
from tests.attacks.command import QUICK, RANDOM, Refuse, save_onnx, tree
from tests.interruption import hear_interrupts


def test_a_file_in_place_of_the_output_folder(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["compress", "net.onnx", "--out", "x.npz"]) == 2
    assert "is a file" in capfd.readouterr().err


def test_a_file_in_the_path_of_the_output_folder(refuse: Refuse) -> None:
    assert "is a file" in refuse("net.onnx", out="x.npz/out", code=5)


def test_a_folder_that_cannot_be_written(refuse: Refuse) -> None:
    assert "/proc/out" in refuse("net.onnx", out="/proc/out", code=5)


def test_a_name_that_is_too_long(refuse: Refuse) -> None:
    assert "too long" in refuse("net.onnx", out="n" * 300, code=5)


@pytest.mark.parametrize("kilobytes", [0, 1, 60])
def test_no_space(kilobytes: int, place: Path) -> None:
    """A limit on the size of a file stands for a full disk: the write fails in the middle, as ENOSPC does."""
    weight = RANDOM.normal(size=(4, 9000)).astype(np.float32)
    save_onnx(place / "net.onnx", weights={"w": weight}, outputs=[("y", 1, ["N", 9000])])
    before = tree(place)
    program = (
        "import resource, signal, sys; from edgekit.cli.app import run\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes * 1024},) * 2)\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    words = ["compress", "net.onnx", "--calibration", "x.npz", "--out", "out", "--quiet", *QUICK]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("error: cannot write")
    assert "Traceback" not in done.stderr
    assert tree(place) == before


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("load", signal.SIGINT),
        ("calibrate", signal.SIGTERM),
        ("write", signal.SIGINT),
        ("compare outputs", signal.SIGTERM),
        ("compare outputs", signal.SIGINT),
    ],
)
def test_interrupted_after(stage: str, number: signal.Signals, place: Path) -> None:
    """The exit code of the signal, nothing on stdout, no trace of the run: neither files nor a temporary folder."""
    before = tree(place)
    words = ["compress", "net.onnx", "--calibration", "x.npz", "--out", "out", "--set", "check.seconds=60"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    ) as process:
        assert process.stderr is not None
        while f"✓ {stage}" not in (line := process.stderr.readline()):
            assert line, f"it ended before the stage {stage}"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ""
    assert "Traceback" not in err
    assert tree(place) == before
