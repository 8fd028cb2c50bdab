import os
import signal
import sys

import pytest

from edgekit.devices import processes
from edgekit.devices.processes import FarSide, open_process
from edgekit.errors import DeviceError, DeviceTimeoutError
from tests.devices.agent_run import is_gone


def run(program, *, stdin="", **options):
    return open_process((sys.executable, "-c", program), stdin=stdin, device="here:", **options)


def test_environment_and_folder_are_those_asked_for(tmp_path):
    with run(
        "import os; print(os.getcwd(), os.environ['WHAT'])", folder=tmp_path, environment={"WHAT": "it"}
    ) as stream:
        assert list(stream.lines(30)) == [f"{tmp_path} it"]


def test_a_program_that_is_not_there_is_a_device_error():
    with pytest.raises(DeviceError, match="here:: '/no/such' cannot be started: No such file"):
        open_process(("/no/such",), stdin="", device="here:")


def test_lines_may_be_asked_for_again_after_the_end():
    with run("print('one'); print('two')") as stream:
        assert next(stream.lines(30)) == "one"
        assert list(stream.lines(30)) == ["two"]
        assert list(stream.lines(30)) == []
        assert stream.finish() == (0, "")


def test_carriage_returns_and_bytes_that_are_no_text_are_survived():
    with run(r"import sys; sys.stdout.buffer.write(b'a\r\n\xff\n\nb')") as stream:
        assert list(stream.lines(30)) == ["a", "\ufffd", "", "b"]


def test_a_line_that_fills_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(processes, "LINE_BYTES", 1000)
    with run("print('short'); print('x' * 1000)") as stream:
        lines = stream.lines(30)
        assert next(lines) == "short"
        with pytest.raises(DeviceError, match="more than 1000 bytes"):
            next(lines)


def test_a_command_that_closed_its_output_but_goes_on_is_given_up(monkeypatch):
    monkeypatch.setattr(processes, "FINISH_S", 0.2)
    with run("import os, sys; os.close(1); sys.stdin.read()") as stream:
        assert list(stream.lines(30)) == []
        with pytest.raises(DeviceTimeoutError, match="did not end"):
            stream.finish()


def test_input_that_nobody_reads_holds_nothing_up(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.2)
    with run("import time; print('up', flush=True); time.sleep(60)", stdin="x" * 10**6) as stream:
        assert next(stream.lines(30)) == "up"
    assert stream.process.returncode == -signal.SIGTERM


def test_a_command_that_dies_at_once_tells_its_code_not_its_pipe():
    with run("import os; os._exit(5)", stdin="x" * 10**6) as stream:
        assert stream.finish() == (5, "")


def test_what_the_command_left_behind_ends_with_the_block():
    program = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
sys.stdin.read()
"""
    with run(program) as stream:
        child = int(next(stream.lines(30)))
        os.kill(child, 0)
    assert is_gone(child)


def test_leaving_by_an_error_ends_the_command_too():
    with pytest.raises(KeyboardInterrupt), run("import sys; sys.stdin.read()") as stream:
        raise KeyboardInterrupt
    assert stream.process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(stream.process.pid, 0)


def test_a_lost_far_side_gives_its_whole_lines_and_then_the_error():
    def read_end(code, complaint):
        assert (code, complaint) == (255, "gone\n")
        raise DeviceError("it went away")

    program = "import sys; print('whole'); print('par', end=''); print('gone', file=sys.stderr); sys.exit(255)"
    with run(program, far=FarSide(read_end, lambda: None)) as stream:
        lines = stream.lines(30)
        assert next(lines) == "whole"
        with pytest.raises(DeviceError, match="it went away"):
            next(lines)
        with pytest.raises(DeviceError, match="it went away"):
            stream.finish()


def test_the_far_side_is_ended_when_its_input_did_not_end_it(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.2)
    ended = []

    def end():
        ended.append(True)
        raise DeviceError("it went away meanwhile")

    with run("import time; time.sleep(60)", far=FarSide(lambda code, complaint: (0, ""), end)) as stream:
        pass
    assert ended == [True]
    assert stream.process.returncode == -signal.SIGKILL
