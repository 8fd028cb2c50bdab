"""Against a real sshd: what works, and what happens when a host goes away under a run."""

import json
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from edgekit.devices import ssh_connection, ssh_stream
from edgekit.devices.opening import open_device
from edgekit.errors import DeviceError, DeviceTimeoutError, InputError
from edgekit.testing.device_check import check_device, check_files
from edgekit.types.bench import Kind
from tests.devices.agent_run import is_gone, start_agent
from tests.devices.ssh_server import run_sshd
from tests.devices.test_opening import make_runtime


@pytest.fixture
def device(sshd):
    opened = open_device(sshd.uri())
    yield opened
    opened.close()


def test_it_keeps_every_promise_of_a_device(sshd):
    check_device(lambda: open_device(sshd.uri()))
    assert sshd.is_quiet(), "a connection stays open"


def test_without_an_sftp_subsystem_files_go_through_cat(ssh_keys):
    with run_sshd(ssh_keys) as server:
        device = open_device(server.uri())
        try:
            check_files(device)
            assert device._sftp is None
        finally:
            assert device.close() == ()


def test_what_a_report_says_of_it(device, sshd):
    assert device.uri == sshd.uri().partition("?")[0]
    assert (device.kind, device.emulated, device.python) == (Kind.WALL_NS, "", ("python3",))
    assert stat.S_IMODE(Path(device.folder).stat().st_mode) == 0o700


def test_a_run_from_job_to_done(device):
    with start_agent(device, runs=3, pause_s=0) as stream:
        events = [json.loads(line) for line in stream.lines(30)]
        assert stream.finish() == (0, "")
    assert [event["event"] for event in events] == ["environment", "samples", "samples", "samples", "done"]
    assert events[0]["folder"] == device.folder


def test_a_runtime_is_brought_along(sshd, tmp_path):
    runtime = make_runtime(tmp_path / "runtime.tar.gz", '#!/bin/sh\nBROUGHT=yes exec python3 "$@"\n')
    device = open_device(sshd.uri(python="/no/such"), runtime=runtime)
    try:
        with device.start((*device.python, "-c", "import os; print(os.environ['BROUGHT'])"), "") as stream:
            assert list(stream.lines(30)) == ["yes"]
    finally:
        assert device.close() == ()


def test_a_connection_that_is_cut_gives_what_came_and_then_the_error(sshd):
    device = open_device(sshd.uri())
    events = []
    with start_agent(device, runs=1000, pause_s=0.05) as stream:
        lines = stream.lines(30)
        events += [json.loads(next(lines)) for _ in range(5)]
        sshd.cut()
        with pytest.raises(DeviceError, match="the connection was lost") as caught:
            events.extend(map(json.loads, lines))
        assert "run again" in caught.value.hint
        with pytest.raises(DeviceError, match="the connection was lost"):
            stream.finish()
    assert [event.get("values") for event in events[:5]] == [None, [0], [1], [2], [3]]
    assert is_gone(events[0]["pid"]), "the agent outlives the connection"
    with pytest.raises(DeviceError, match="the connection was lost"):
        device.push({"more": b""})
    with pytest.raises(DeviceError, match="the connection was lost"):
        device.start(("true",), "")
    assert device.close() == (), "the host is back: the folder can be removed"
    assert not Path(events[0]["folder"]).exists()


def test_a_connection_that_ends_politely_is_lost_all_the_same(sshd):
    device = open_device(sshd.uri())
    with start_agent(device, runs=1000, pause_s=0.05) as stream:
        lines = stream.lines(30)
        assert json.loads(next(lines))["event"] == "environment"
        device._connection._loop.call_soon_threadsafe(device._connection.client.close)
        with pytest.raises(DeviceError, match="the connection was lost"):
            list(lines)
        with pytest.raises(DeviceError, match="the connection was lost"):
            stream.finish()
    assert device.close() == ()


def test_a_command_that_closed_its_output_but_goes_on_is_given_up(device, monkeypatch):
    monkeypatch.setattr(ssh_stream, "FINISH_S", 0.2)
    program = "import os, sys; os.close(1); os.close(2); sys.stdin.read()"
    with device.start((*device.python, "-c", program), "") as stream:
        assert list(stream.lines(30)) == []
        with pytest.raises(DeviceTimeoutError, match="did not end"):
            stream.finish()
    device.push({"again": b""})


def test_a_line_that_fills_the_memory_is_refused(device, monkeypatch):
    monkeypatch.setattr(ssh_stream, "LINE_BYTES", 1000)
    with device.start((*device.python, "-c", "print('short'); print('x' * 10**6)"), "") as stream:
        lines = stream.lines(30)
        assert next(lines) == "short"
        with pytest.raises(DeviceError, match="more than 1000 bytes"):
            next(lines)


def test_a_host_that_runs_nothing_is_told(ssh_keys):
    with (
        run_sshd(ssh_keys, more="MaxSessions 0") as server,
        pytest.raises(DeviceError, match="the host runs no command"),
    ):
        open_device(server.uri())


def test_a_host_that_stays_away_is_told_with_what_it_keeps(ssh_keys, monkeypatch):
    with run_sshd(ssh_keys, more="Subsystem sftp internal-sftp") as server:
        device = open_device(server.uri())
        folder = Path(device.folder)
        os.kill(server.pid, signal.SIGSTOP)  # takes connections, and answers none
        server.cut()
        try:
            monkeypatch.setattr("edgekit.devices.ssh.RECONNECT_S", 0.3)
            assert device.close() == (str(folder),)
            assert folder.exists()
        finally:
            folder.rmdir()
            os.kill(server.pid, signal.SIGCONT)


def test_an_unplugged_host_is_noticed(sshd, monkeypatch):
    assert ssh_connection.KEEPALIVE_S * (ssh_connection.KEEPALIVE_COUNT + 1) <= 16
    monkeypatch.setattr(ssh_connection, "KEEPALIVE_S", 0.2)
    device = open_device(sshd.uri())
    stubborn = "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); time.sleep(60)"
    program = f"import os; print(os.getpid(), flush=True); {stubborn}"
    serving = sshd.sessions()
    with device.start((*device.python, "-c", program), "") as stream:
        pid = int(next(stream.lines(30)))
        for process in serving:
            process.suspend()  # nothing is closed: the wire is just silent
        try:
            silent = time.monotonic()
            with pytest.raises(DeviceError, match=r"the connection was lost .*keepalive"):
                next(stream.lines(30))
            assert time.monotonic() - silent < 5
            assert device.close() == ()
            assert is_gone(pid), "closing ends what did not end with the connection"
        finally:
            for process in serving:
                process.kill()


def test_no_space_there_is_told_with_what_there_is(sshd, small_disk):
    device = open_device(sshd.uri(folder=str(small_disk)))
    try:
        for more in ({"model": b"x" * 3_000_000}, {"model": Path(__file__), "rest": b"x" * 3_000_000}):
            with pytest.raises(
                DeviceError, match=r"cannot be written to .*: no space there: \d+ B of 1.0 MB"
            ) as caught:
                device.push(more)
            assert "?folder=" in caught.value.hint
    finally:
        assert device.close() == ()
    assert list(small_disk.iterdir()) == []


def test_no_space_is_told_without_sftp_too(ssh_keys, small_disk):
    with run_sshd(ssh_keys) as server:
        device = open_device(server.uri(folder=str(small_disk)))
        try:
            with pytest.raises(DeviceError, match="no space there"):
                device.push({"model": b"x" * 3_000_000})
        finally:
            assert device.close() == ()


def test_a_folder_that_cannot_be_made_there_is_told(sshd):
    with pytest.raises(DeviceError, match="no folder can be made there") as caught:
        open_device(sshd.uri(folder="/proc"))
    assert "?folder=" in caught.value.hint
    with pytest.raises(InputError, match="no absolute path"):
        open_device(sshd.uri(folder="here"))
    assert sshd.is_quiet()


def test_no_python_there_names_the_portable_runtime(ssh_keys, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "mktemp", "ls", "sed", "rm"):
        (tools / name).symlink_to(f"/bin/{name}")
    with run_sshd(ssh_keys, environment=f"PATH={tools}") as server:
        with pytest.raises(DeviceError, match=r"'python3' does not start there: .*not found") as caught:
            open_device(server.uri(folder=str(tmp_path)))
        assert "edgekit bench bundle --arch aarch64" in caught.value.hint
    assert [path for path in tmp_path.iterdir() if path.name.startswith("edgekit.")] == []


def test_files_that_are_not_there_are_told(device, tmp_path):
    with pytest.raises(DeviceError, match="'absent' cannot be fetched: No such file"):
        device.pull("absent", tmp_path / "x")
    device.push({"again": b""})  # the connection is still good
