"""Against a real adbd, through a real adb."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from edgekit.devices import adb as adb_module
from edgekit.devices.opening import open_device
from edgekit.errors import DeviceError, DeviceTimeoutError, InputError
from edgekit.testing.device_check import check_device
from edgekit.types.bench import Kind
from tests.devices.adbd import BARE_PATH, run_adbd, socket_families, vsock_listeners
from tests.devices.agent_run import is_gone, start_agent
from tests.devices.test_opening import make_runtime

AF_VSOCK = 40


@pytest.fixture
def device(adbd):
    opened = open_device(adbd.uri)
    yield opened
    opened.close()


def listing(server):
    """What is in the folders where devices put theirs."""
    return server.run("shell", "ls -d /data/local/tmp/edgekit.* /data/small/edgekit.* 2>/dev/null; true").strip()


def test_adbd_is_filtered_and_has_no_vsock(adbd):
    status = Path(f"/proc/{adbd.pid}/status").read_text()
    assert "Seccomp:\t2\n" in status
    assert "NoNewPrivs:\t1\n" in status
    families = socket_families(adbd.pid)
    assert families, "no sockets were seen at all"
    assert AF_VSOCK not in families
    assert vsock_listeners() == ""


def test_it_keeps_every_promise_of_a_device(adbd):
    check_device(lambda: open_device(adbd.uri))
    assert listing(adbd) == ""


def test_what_a_report_says_of_it(device, adbd):
    assert (device.uri, device.kind, device.emulated) == (adbd.uri, Kind.WALL_NS, "")
    assert device.python == ("/usr/bin/python3",)
    assert device.folder.startswith("/data/local/tmp/edgekit.")


def test_a_run_from_job_to_done(device):
    with start_agent(device, runs=3, pause_s=0) as stream:
        events = [json.loads(line) for line in stream.lines(30)]
        assert stream.finish() == (0, "")
    assert [event["event"] for event in events] == ["environment", "samples", "samples", "samples", "done"]


def test_its_transport_names_it_too(adbd):
    transport = adbd.run("devices", "-l").rpartition("transport_id:")[2].strip()
    device = open_device(f"{adbd.uri}?transport={transport}")
    try:
        assert device.uri == f"{adbd.uri}?transport={transport}"
        with device.start(("echo", "here"), "") as stream:
            assert list(stream.lines(30)) == ["here"]
    finally:
        assert device.close() == ()


def test_a_runtime_is_brought_along(adbd, tmp_path):
    runtime = make_runtime(tmp_path / "runtime.tar.gz", '#!/bin/sh\nBROUGHT=yes exec python3 "$@"\n')
    device = open_device(f"{adbd.uri}?python=/no/such", runtime=runtime)
    try:
        with device.start((*device.python, "-c", "import os; print(os.environ['BROUGHT'])"), "") as stream:
            assert list(stream.lines(30)) == ["yes"]
    finally:
        assert device.close() == ()


def test_a_device_that_goes_away_gives_what_came_and_then_the_error(adbd, tmp_path):
    device = open_device(adbd.uri)
    events = []
    try:
        with start_agent(device, runs=1000, pause_s=0.05) as stream:
            lines = stream.lines(30)
            events += [json.loads(next(lines)) for _ in range(5)]
            agents = [one for one in psutil.Process(adbd.pid).children(recursive=True) if "agent.py" in one.cmdline()]
            assert agents
            adbd.run("disconnect", adbd.serial)
            with pytest.raises(DeviceError, match="the device went away") as caught:
                events.extend(map(json.loads, lines))
            assert "run again" in caught.value.hint
            with pytest.raises(DeviceError, match="the device went away"):
                stream.finish()
        with pytest.raises(DeviceError, match="the device went away"):
            device.push({"more": b""})
        with pytest.raises(DeviceError, match="the device went away"):
            device.pull("agent.py", tmp_path / "x")
        folder = device.folder
        assert device.close() == (folder,)
    finally:
        adbd.connect()
    assert [event.get("values") for event in events[:5]] == [None, [0], [1], [2], [3]]
    assert all(is_gone(process.pid) for process in agents), "the agent outlives the connection"
    adbd.run("shell", f"rm -r {folder}")


def test_an_adbd_that_dies_takes_nothing_with_it(tmp_path, monkeypatch):
    with run_adbd(tmp_path) as server:
        monkeypatch.setenv("ADB", str(server.adb))
        device = open_device(server.uri)
        with start_agent(device, runs=1000, pause_s=0.05) as stream:
            lines = stream.lines(30)
            assert json.loads(next(lines))["event"] == "environment"
            subprocess.run(("kill", "-9", str(server.pid)), check=True)
            with pytest.raises(DeviceError, match="the device went away"):
                list(lines)
        assert is_gone(server.pid)


def test_no_space_there_is_told_with_what_there_is(adbd):
    device = open_device(f"{adbd.uri}?folder=/data/small")
    try:
        with pytest.raises(
            DeviceError, match=r"cannot be written to .*: no space there: \S+ k?M?B of 1.0 MB"
        ) as caught:
            device.push({"model": b"x" * 3_000_000})
        assert "?folder=" in caught.value.hint
    finally:
        assert device.close() == ()
    assert listing(adbd) == ""


def test_a_folder_that_cannot_be_made_there_is_told(adbd):
    with pytest.raises(DeviceError, match="no folder can be made there"):
        open_device(f"{adbd.uri}?folder=/proc")
    with pytest.raises(InputError, match="no absolute path"):
        open_device(f"{adbd.uri}?folder=here")


def test_without_python_there_it_names_the_portable_runtime_and_takes_termux(tmp_path, monkeypatch):
    with run_adbd(tmp_path, path=BARE_PATH) as server:
        monkeypatch.setenv("ADB", str(server.adb))
        with pytest.raises(DeviceError, match=r"'python3' does not start there: .*not found") as caught:
            open_device(server.uri)
        assert "edgekit bench bundle --arch aarch64" in caught.value.hint
        assert listing(server) == ""
        termux = Path(adb_module.TERMUX_PYTHON)
        server.run("shell", f"/usr/bin/mkdir -p {termux.parent} && /usr/bin/ln -s /usr/bin/python3 {termux}")
        device = open_device(server.uri)
        assert device.python == (str(termux),)
        assert device.close() == ()


def test_a_file_that_is_not_there_is_told(device, tmp_path):
    with pytest.raises(DeviceError, match=r"'absent' cannot be fetched: .*No such file"):
        device.pull("absent", tmp_path / "x")


def test_an_unknown_serial_lists_those_there_are(adbd):
    with pytest.raises(DeviceError, match=f"adb lists no device 'other'; it lists {adbd.serial}"):
        open_device("adb:other")


def test_without_adb_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setenv("ADB", "/no/such/adb")
    with pytest.raises(DeviceError, match="there is no program '/no/such/adb' here") as caught:
        open_device("adb:x")
    assert "apt install adb" in caught.value.hint


def test_an_adb_that_hangs_is_given_up(monkeypatch, tmp_path):
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("ADB", str(program))
    monkeypatch.setattr(adb_module, "COMMAND_S", 0.2)
    with pytest.raises(DeviceTimeoutError, match=r"adb did not answer within 0.2 s"):
        open_device("adb:x")
