from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from edgekit import errors
from edgekit.cli import app
from edgekit.cli.app import INTERRUPTED, TERMINATED, VERBS, run
from edgekit.cli.terminal import Terminal, output_options

NEEDED: dict[str, dict[str, object]] = {
    "NoVariantError": {"reasons": {}},
    "LengthError": {"limit_bytes": 1},
    "SourcesError": {"faults": {}},
}
"""What an error has to be told beside its message."""


@click.command()
@click.argument("name")
@output_options
def fail(name: str) -> None:
    """Raise what the argument names: the group's own handling, without any work behind it."""
    if name == "Interrupt":
        raise KeyboardInterrupt
    if name == "Bug":
        raise ZeroDivisionError("a bug")
    raise getattr(errors, name)("what was asked, what was found", hint="what to do", **NEEDED.get(name, {}))


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further verb, `fail`."""
    monkeypatch.setattr(app.edgekit, "verbs", {**VERBS, "fail": f"{__name__}:fail"})


OTHERWISE = (
    errors.MissingExtraError,
    errors.UnsupportedOpError,
    errors.ParityError,
    errors.NumericalError,
    errors.SplitViewError,
)
"""Those whose message holds more than what they are told."""
ERRORS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.EdgekitError) and error not in OTHERWISE
]


@pytest.mark.usefixtures("verb")
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_has_its_exit_code_and_says_what_to_do(
    error: type[errors.EdgekitError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fail", error.__name__]) == error.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: what was asked, what was found\nhint: what to do\n"


@pytest.mark.usefixtures("verb")
def test_an_error_is_json_on_stdout_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "StorageError", "--json"]) == 5
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "type": "StorageError",
            "message": "what was asked, what was found",
            "hint": "what to do",
            "exit_code": 5,
        }
    }


@pytest.mark.usefixtures("verb")
def test_an_interruption_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fail", "Interrupt"]) == INTERRUPTED
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().splitlines() == ["interrupted, nothing was left half-written"]


@pytest.mark.usefixtures("verb")
def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(["fail", "Bug"])


def test_a_wrong_flag_is_exit_2_and_names_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compress", "model.onnx", "--sampels", "3"]) == 2
    assert "--samples" in capsys.readouterr().err


def test_every_verb_is_in_the_help_and_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    listed = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(VERBS)
    for verb in VERBS:
        assert run([verb, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: edgekit {verb} ")


def test_the_exit_codes_in_the_help_are_those_of_the_errors(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    shown = {int(code) for code in re.findall(r"^    (\d+)  ", capsys.readouterr().out, re.MULTILINE)}
    assert shown == {0, INTERRUPTED, TERMINATED} | {error.exit_code for error in ERRORS}


def test_the_command_is_kept_as_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(app, "Terminal", lambda command: seen.append(command) or Terminal(command))
    run(["completion", "bash"])
    run(["compress", "my model.pt", "--help"])
    assert seen == ["edgekit completion bash", "edgekit compress 'my model.pt' --help"]


def test_a_termination_leaves_through_the_open_blocks(tmp_path: Path) -> None:
    """SIGTERM unwinds like an exception, so what removes unfinished files gets to run."""
    program = f"""
import signal, sys, time
from edgekit.cli import app
signal.signal(signal.SIGTERM, app._terminate)
try:
    print("ready", flush=True)
    time.sleep(30)
finally:
    open({str(tmp_path / "cleaned")!r}, "w").close()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == TERMINATED
    assert (tmp_path / "cleaned").exists()
