"""`edgekit bench` and the verbs below it, as typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from edgekit.bench.history import History
from edgekit.cli.app import run
from edgekit.devices.local import LocalDevice
from edgekit.errors import StorageError
from edgekit.report.bench.document import load_schema
from tests.bench.conftest import artifacts

__all__ = ["artifacts"]

QUICK = ("--duration", "0.05", "--warmup", "0.1")


@pytest.fixture
def desk(tmp_path: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two artifacts."""
    for name in ("net.int8.onnx", "net.int8.tflite"):
        shutil.copy(artifacts / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_measures_and_writes_every_report(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "net.int8.onnx", "net.int8.tflite", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "2 artifacts on 1 device: All 2 measurements are valid" in " ".join(shown.split())
    written = {path.name for path in (desk / "edgekit-bench").iterdir()}
    assert written == {"report.json", "report.md", "junit.xml", "benchmark-action.json", "index.html"}


def test_json_is_the_report_and_follows_its_schema(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "net.int8.tflite", *QUICK, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, load_schema())
    assert document["command"] == "edgekit bench net.int8.tflite --duration 0.05 --warmup 0.1 --json"
    assert document == json.loads((desk / "edgekit-bench" / "report.json").read_text())
    assert len(document["measurements"][0]["processes"]) == 5


def test_too_few_processes_are_invalid_and_end_with_4(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "net.int8.tflite", *QUICK, "--processes", "2", "--quiet"]) == 4
    assert "1 of 1 measurements must not be used" in capsys.readouterr().err
    assert "at least 5" in (desk / "edgekit-bench" / "report.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent.onnx"], 2, "no file absent.onnx"),
        ([], 2, "no artifact"),
        (["net.int8.tflite", "--on", "nowhere"], 2, "is no device"),
        (["net.int8.tflite", "--on", "usb:1"], 2, "usb"),
        (["net.int8.tflite", "--threads", "0"], 2, "whole numbers"),
        (["net.int8.tflite", "--on", "ssh://nobody@127.0.0.1:1"], 5, "127.0.0.1"),
        (["net.int8.tflite", "--inputs", "absent.npz"], 2, "absent.npz"),
        (["net.int8.tflite", "--history", "net.int8.onnx"], 2, "net.int8.onnx"),
        (["compare", "net.int8.onnx", "net.int8.tflite"], 2, "in common"),
        (["compare", "net.int8.onnx", "report.json"], 2, "a report and no report"),
        (["compare", "a.json", "b.json"], 2, "cannot read a.json"),
        (["compare", "net.int8.onnx", "net.int8.onnx", "--gate", "absent.toml"], 2, "cannot read absent.toml"),
        (["calibrate", "net.int8.tflite", "--on", "local:"], 2, "does not count instructions"),
    ],
)
def test_what_cannot_be_used_is_said(
    desk: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert run(["bench", *words]) == code
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_the_history_grows_and_is_in_the_report(desk: Path) -> None:
    words = ["bench", "net.int8.tflite", *QUICK, "--quiet", "--history", "h.sqlite", "--revision"]
    assert run([*words, "first"]) == 0
    assert run([*words, "second"]) == 0
    report = json.loads((desk / "edgekit-bench" / "report.json").read_text())
    assert [point["revision"] for point in report["history"]] == ["first", "second"]


def test_comparing_a_file_with_itself_passes(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "compare", "net.int8.onnx", "net.int8.onnx", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, load_schema("edgekit.gate/1"))
    assert {one["verdict"] for one in document["judgements"]} == {"pass", "skipped"}
    assert {path.name for path in (desk / "edgekit-gate").iterdir()} == {"gate.json", "gate.md", "gate-junit.xml"}


def test_a_larger_file_fails_the_gate(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(desk / "net.int8.tflite", desk / "larger.tflite")
    with (desk / "larger.tflite").open("ab") as stream:
        stream.write(bytes(100_000))
    words = ["bench", "compare", "net.int8.tflite", "larger.tflite", "--budget", "1", "--quiet"]
    assert run(words) == 4
    assert "the gate fails: 1 of 3" in capsys.readouterr().err
    assert "✗ Gate failed" in (desk / "edgekit-gate" / "gate.md").read_text()


def test_two_reports_are_compared(desk: Path) -> None:
    assert run(["bench", "net.int8.tflite", *QUICK, "--quiet", "--out", "a"]) == 0
    assert run(["bench", "compare", "a/report.json", "a/report.json", "--quiet"]) == 0


def test_help_names_the_verbs_and_each_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == 0
    assert "Usage: edgekit bench [OPTIONS] ARTIFACT..." in capsys.readouterr().out
    for verb in ("compare", "calibrate", "bundle", "emulator"):
        assert run(["bench", verb, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"edgekit bench {verb}" in shown
        assert "Example" in shown


def test_a_history_that_cannot_be_written_costs_no_report(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(*_: object) -> int:
        raise StorageError("the disk is full")

    monkeypatch.setattr(History, "add", add)
    assert run(["bench", "net.int8.tflite", *QUICK, "--quiet", "--history", "h.sqlite"]) == 5
    assert json.loads((desk / "edgekit-bench" / "report.json").read_text())["measurements"][0]["summary"]


def test_a_file_that_an_emulator_cannot_run_ends_with_4(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is timed there, so there is no measurement that could be invalid."""
    monkeypatch.setattr(LocalDevice, "kind", None)
    (desk / "broken.onnx").write_bytes(b"no model")
    assert run(["bench", "broken.onnx", *QUICK, "--quiet"]) == 4
    assert "1 of 1 outputs are missing" in " ".join(capsys.readouterr().err.split())
