"""Programs that build things: what they say when they fail is what the error says."""

from __future__ import annotations

import pytest

from edgekit.errors import DeviceError
from edgekit.portable.commands import find_program, run_program


def test_a_program_that_is_missing_is_told_with_its_package():
    with pytest.raises(DeviceError, match="program no-such-program, which is not installed") as caught:
        find_program("no-such-program", package="no-such-package")
    assert caught.value.hint == "apt install no-such-package"


def test_programs_of_the_administrator_are_found(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere:/usr/bin")
    assert find_program("sh", package="dash").endswith("/sh")


def test_output_comes_back():
    assert run_program(("sh", "-c", "echo $WORD; echo no >&2"), doing="try", environment={"WORD": "yes"}) == "yes\n"


def test_it_runs_in_its_folder(tmp_path):
    assert run_program(("pwd",), doing="try", folder=tmp_path).strip() == str(tmp_path)


def test_a_failure_has_the_last_lines_and_the_hint():
    script = "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; exit 3"
    with pytest.raises(DeviceError, match=r"^cannot count: line 3 / line 4 / .* / line 7$") as caught:
        run_program(("sh", "-c", script), doing="count", hint="count less")
    assert caught.value.hint == "count less"


def test_a_silent_failure_has_its_code():
    with pytest.raises(DeviceError, match="cannot try: sh ended with 3"):
        run_program(("sh", "-c", "exit 3"), doing="try")
    assert run_program(("sh", "-c", "exit 3"), doing="try", success=(0, 3)) == ""


def test_what_cannot_be_started_is_told():
    with pytest.raises(DeviceError, match="cannot try: /no/such: No such file"):
        run_program(("/no/such",), doing="try")
