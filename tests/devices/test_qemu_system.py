"""The emulated ARM machine, really booted: counts that repeat, and an end whatever happens."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edgekit.bench import jobs
from edgekit.devices import qemu_machine
from edgekit.devices.opening import open_device
from edgekit.devices.qemu_machine import QemuMachine, boot, qemu_command
from edgekit.devices.qemu_system import QemuSystemDevice
from edgekit.errors import DeviceError, InputError
from edgekit.portable.emulator import SystemEmulator
from edgekit.portable.initramfs import write_initramfs
from edgekit.testing.device_check import CHECKS
from edgekit.types.bench import Kind
from tests.devices.agent_run import is_gone
from tests.devices.emulated import SUBJECTS, ask_agent, push_all, run, write_nets
from tests.portable.built import system_emulator

URI = "qemu-system:cortex-a76"


@pytest.fixture(scope="module")
def emulator() -> SystemEmulator:
    return system_emulator()


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nets(tmp_path_factory.mktemp("nets"))


@pytest.fixture(scope="module")
def device(emulator: SystemEmulator) -> Iterator[QemuSystemDevice]:
    opened = open_device(URI)
    yield opened
    assert opened.close() == ()
    assert opened.close() == ()


def qemu_of(device: QemuSystemDevice) -> psutil.Process:
    """The emulator's process."""
    return next(
        process
        for process in psutil.Process().children(recursive=True)
        if f":{device._machine.port}-" in " ".join(process.cmdline()) and "qemu" in process.name()
    )


def count(device: QemuSystemDevice, nets: Path) -> list[list[int]]:
    """Instructions of 15 inferences of each net, each in a fresh process."""
    push_all(device, nets)
    found = []
    for subject in SUBJECTS:
        events = ask_agent(device, jobs.job([subject], seed=1, steady=jobs.count_plan()))
        found.append([value for event in events["samples"] for value in event["values"]])
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_every_promise_of_a_device(device, check):
    check(device)


def test_it_counts_and_its_time_is_none(device):
    assert (device.kind, device.uri) == (Kind.INSTRUCTIONS, URI)
    assert "its clock is the count" in device.emulated


def test_it_is_an_arm_machine_with_its_own_everything(device):
    program = "import os, platform; print(platform.machine(), os.uname().nodename, os.environ['PYTHONHASHSEED'])"
    assert run(device, (*device.python, "-c", program)) == ["aarch64 (none) 0"]
    assert "0xd0b" in " ".join(run(device, ("grep", "part", "/proc/cpuinfo")))  # Cortex-A76


def test_nothing_leads_out_of_it(device):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        program = f"""
import socket
for place in ('10.0.2.2', '127.0.0.1'):
    try:
        socket.create_connection((place, {server.getsockname()[1]}), 3).close()
        print('out by', place)
    except OSError:
        print('refused')
"""
        assert run(device, (*device.python, "-c", program)) == ["refused", "refused"]
        with pytest.raises(TimeoutError):
            server.accept()


def test_counts_repeat_over_boots(device, nets):
    """To the instruction when the machine does the same since its boot; here it has done much before the first."""
    earlier = count(device, nets)
    other = open_device(URI)
    try:
        later = count(other, nets)
    finally:
        other.close()
    for first, second in zip(earlier, later, strict=True):
        assert len(first) == len(second) == jobs.COUNTED_RUNS
        assert min(second) == pytest.approx(min(first), rel=0.001)
        assert min(first) > 10_000


def test_one_percent_more_work_costs_one_percent_more(device, nets):
    program = """
import sys
sys.path.insert(0, 'agent.pyz')
from edgekit.agent.counters import open_counter
counter, check = open_counter('instructions')
def cost(rounds):
    start = counter()
    for _ in range(rounds):
        pass
    return counter() - start
for rounds in (100000, 100000, 101000):
    print(min(cost(rounds) for _ in range(5)))
check()
"""
    push_all(device, nets)
    once, again, more = (int(line) for line in run(device, (*device.python, "-c", program)))
    assert again == pytest.approx(once, rel=1e-4)
    assert more == pytest.approx(1.01 * once, rel=1e-3)


def test_closing_ends_it(emulator):
    opened = open_device(URI)
    process = qemu_of(opened)
    assert opened.close() == ()
    assert is_gone(process.pid)


def test_a_machine_that_dies_is_told_and_leaves_nothing(emulator):
    opened = open_device(URI)
    process = qemu_of(opened)
    try:
        with opened.start(("sh", "-c", "echo up; sleep 1000"), "") as stream:
            lines = stream.lines(60)
            assert next(lines) == "up"
            process.kill()
            with pytest.raises(DeviceError, match="connection was lost"):
                next(lines)
    finally:
        assert opened.close() == ()
    assert is_gone(process.pid)


def test_it_ends_with_whoever_booted_it(emulator):
    """Also when that is killed, and can end nothing any more."""
    program = f"""
import sys
from edgekit.devices.opening import open_device
opened = open_device({URI!r})
print(opened._machine.port, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        (sys.executable, "-c", program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as booter:
        assert booter.stdout is not None
        port = int(booter.stdout.readline())
        children = psutil.Process(booter.pid).children(recursive=True)
        assert any(f":{port}-" in word for child in children for word in _command(child))
        booter.send_signal(signal.SIGKILL)
        booter.wait()
    assert all(is_gone(child.pid) for child in children)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it is gone
        return []


def test_a_boot_that_fails_shows_its_console(emulator, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copy(emulator.kernel, tmp_path / "kernel")
    write_initramfs(tmp_path / "initramfs", {"": tmp_path / "empty"})
    broken = SystemEmulator(tmp_path, emulator.qemu)
    with pytest.raises(DeviceError, match=r"(?s)did not boot; its console ends with\n.*Kernel panic - not syncing"):
        boot(broken, "cortex-a53", "qemu-system:cortex-a53")


def test_a_boot_that_takes_too_long_is_ended(emulator, monkeypatch):
    monkeypatch.setattr(qemu_machine, "BOOT_S", 0.3)
    before = psutil.Process().children(recursive=True)
    with pytest.raises(DeviceError, match=r"was not up after 0\.3 s"):
        boot(emulator, "cortex-a76", URI)
    assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_a_port_that_is_taken_meanwhile_is_chosen_anew(emulator, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        choose = qemu_machine._free_port
        ports = iter((taken, choose()))
        monkeypatch.setattr(qemu_machine, "_free_port", lambda: next(ports))
        machine = boot(emulator, "cortex-a76", URI)
        assert machine.port != taken
        machine.end()


def test_a_core_that_it_cannot_be_is_refused(emulator):
    for core in ("cortex-a75", "cortex-m33", "host"):
        with pytest.raises(InputError, match=f"no core '{core}'"):
            open_device(f"qemu-system:{core}")


def test_it_has_no_options():
    with pytest.raises(InputError, match="has no options"):
        open_device(f"{URI}?folder=/tmp")


def test_without_the_machine_nothing_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(DeviceError, match="has not been built") as caught:
        open_device(URI)
    assert "edgekit bench emulator" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_reached_from_the_loopback_only():
    words = " ".join(qemu_command(SystemEmulator(Path("/cache"), "qemu"), "cortex-a76", 2222))
    assert "restrict=on,hostfwd=tcp:127.0.0.1:2222-:22" in words
    assert "-icount shift=0 " in words


def test_a_machine_can_be_ended_without_having_been_used(emulator):
    machine = QemuMachine(emulator, "cortex-a76", URI)
    assert "Server listening" in machine.console
    machine.end()
