from __future__ import annotations

import io
import json
import logging
import warnings

import pytest
from rich.console import Console

from edgekit.cli.progress import watch
from edgekit.cli.terminal import Terminal
from edgekit.errors import EdgekitError


def test_stdout_is_kept_for_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.work() as progress:
        print("a library prints")
        with progress.stage("calibrate", 2) as stage:
            stage.advance()
    terminal.result({"µ": 1})
    out, err = capsys.readouterr()
    assert out == '{\n  "µ": 1\n}\n'
    assert "a library prints" in err
    assert "✓ calibrate" in err


def test_warnings_are_held_back_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        terminal = Terminal()
        terminal.verbose = verbose
        with terminal.work():
            warnings.warn("something about an opset", UserWarning, stacklevel=1)
            logging.getLogger("some.library").warning("a log line")
        err = capsys.readouterr().err
        assert ("something about an opset" in err) is verbose
        assert ("a log line" in err) is verbose


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.quiet = True
    with terminal.work() as progress, progress.stage("calibrate", 2) as stage:
        stage.advance(2)
    terminal.note("a note")
    assert capsys.readouterr() == ("", "")


def test_what_others_wrote_neither_paints_nor_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    """A note may quote a server; a name in a result may have octets that are no UTF-8."""
    terminal = Terminal()
    terminal.note("said \x1b[2J\x9b2J\u202e\nand more")
    terminal.result({"\udcff": "ü"})
    out, err = capsys.readouterr()
    assert err == "said \\x1b[2J\\x9b2J\\u202e\nand more\n"
    assert json.loads(out) == {"\udcff": "ü"}


def test_logging_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with Terminal().work():
        assert root.handlers != before[0]
    assert (root.handlers, root.level) == before


def test_a_terminal_shows_a_bar_while_it_runs_and_a_line_after() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with watch(console) as progress, progress.stage("calibrate", 40) as stage:
        for _ in range(40):
            stage.advance()
    assert "✓" in screen.getvalue()
    assert "calibrate" in screen.getvalue()


def test_a_failed_stage_leaves_no_tick() -> None:
    screen = io.StringIO()

    def fail() -> None:
        with watch(Console(file=screen)) as progress, progress.stage("check"):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()
    assert "✓" not in screen.getvalue()


def test_an_error_cannot_paint_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show_error(EdgekitError("it said \x1b[2J\x07 and\n\u202enon", hint="\x1b]0;title"))
    shown = capsys.readouterr().err
    assert not any(letter in shown for letter in "\x07\u202e")
    assert "\x1b[2J" not in shown
    assert "\x1b]0" not in shown
    assert r"it said \x1b[2J\x07 and" in shown
