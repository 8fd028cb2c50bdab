"""A compression that fails is an outcome with a reason; one that finished is not done twice."""

from pathlib import Path

import pytest

from benchmarks.peers import compression, environments
from benchmarks.peers.entries import Entry

ENTRY = Entry("nncf", "default", "NNCF")


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compression, "FOLDER", tmp_path / "race")
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "peers")
    return tmp_path / "net"


def _interpreter(script: str) -> None:
    """An environment whose Python does what the script says."""
    path = environments.python("nncf")
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_without_an_environment_the_failure_says_so(net: Path) -> None:
    assert compression.attempt(ENTRY, net).failure == "no environment build/peers/nncf"


def test_the_last_line_of_a_traceback_is_the_reason(net: Path) -> None:
    _interpreter("echo 'Traceback:' >&2; echo 'ValueError: no such operator' >&2; exit 1")
    assert compression.attempt(ENTRY, net).failure == "ValueError: no such operator"


def test_success_without_a_file_is_a_failure(net: Path) -> None:
    _interpreter("true")
    assert "wrote no model.onnx" in compression.attempt(ENTRY, net).failure


def test_a_finished_compression_is_kept_until_it_is_asked_again(net: Path) -> None:
    runs = net.parent / "runs"
    cost = '{"cpu_seconds": 5.0, "wall_seconds": 6.0, "peak_mb": 70.0, "stages_cpu_seconds": {"check": 2.0}}'
    _interpreter(f"echo run >> {runs}; touch $6/model.onnx; echo noise; echo '{cost}'")
    first = compression.attempt(ENTRY, net)
    assert (first.failure, first.cpu_seconds, first.check_cpu_seconds, first.peak_mb) == ("", 3.0, 2.0, 70.0)
    assert compression.attempt(ENTRY, net) == first
    assert runs.read_text(encoding="utf-8").split() == ["run"]
    compression.attempt(ENTRY, net, again=True)
    assert runs.read_text(encoding="utf-8").split() == ["run", "run"]


def test_a_compression_that_hangs_is_stopped(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "LIMIT_SECONDS", 0.2)
    _interpreter("exec sleep 30")
    assert compression.attempt(ENTRY, net).failure == "not finished after 0 s"


def test_a_long_message_is_cut_and_silence_gives_the_status() -> None:
    assert len(compression.reason("x" * 500, 1)) == compression.MAX_REASON
    assert compression.reason("\n", 9) == "exit status 9"
