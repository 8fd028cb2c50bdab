"""QemuMachine: an emulated ARM machine from its boot to its end.

qemu counts one instruction as one nanosecond of the machine's time (`-icount shift=0`), and the machine's performance
counter counts them too. Everything that could differ between two boots is fixed: random numbers, addresses, the clock.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

from edgekit.errors import DeviceError, DeviceTimeoutError
from edgekit.portable.emulator import SystemEmulator
from edgekit.portable.guest import READY

MACHINE = ("-M", "virt")
MEMORY_MB = 2048
BOOT_S = 180.0
"""Some 5 s on an idle machine."""
POLL_S = 0.1
END_S = 5.0
ATTEMPTS = 3
"""Another program may take the port between its choice and its use."""
TAIL_LINES = 30
"""A panic says why before it says where."""
PORT_TAKEN = "Could not set up host forwarding rule"
KERNEL_ARGUMENTS = "console=ttyAMA0 loglevel=4 panic=-1 nokaslr norandmaps cryptomgr.notests"
"""Same addresses on every boot; the kernel does not test its ciphers, which is a third of the boot; panic ends qemu."""
SUPERVISOR = """\
exec 3<&0
"$@" </dev/null & machine=$!
{ while read -r line; do :; done; kill -9 $machine; } <&3 >/dev/null 2>&1 &
wait $machine
kill $!
"""
"""Ends qemu when this process is gone, however it went: then its end of the pipe is closed."""


class QemuMachine:
    """A running machine.

    Attributes:
        port: Of the loopback, behind which its sshd is.
        console: What its serial console and qemu have printed so far.
    """

    def __init__(self, emulator: SystemEmulator, cpu: str, device: str) -> None:
        """Boot, until sshd answers.

        Args:
            emulator: What is booted.
            cpu: Core to emulate, as qemu names it.
            device: URI for error messages.

        Raises:
            DeviceError: It does not boot; with the last lines of its console.
            DeviceTimeoutError: It takes longer than 180 s.
        """
        self.port = _free_port()
        self._device = device
        self._console = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        command = ("sh", "-c", SUPERVISOR, "sh", *qemu_command(emulator, cpu, self.port))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._console, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            self._wait()
        except BaseException:
            self.end()
            raise

    @property
    def console(self) -> str:
        """See above."""
        written = os.fstat(self._console.fileno()).st_size
        return os.pread(self._console.fileno(), written, 0).decode(errors="replace").replace("\r", "")

    def end(self) -> None:
        """Switch it off; never raises."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._console.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + BOOT_S
        while READY not in self.console:
            tail = "\n".join(self.console.splitlines()[-TAIL_LINES:])
            if self._process.poll() is not None:
                kind = _PortTakenError if PORT_TAKEN in tail else DeviceError
                raise kind(f"the emulated machine did not boot; its console ends with\n{tail}", device=self._device)
            if time.monotonic() > deadline:
                raise DeviceTimeoutError(
                    f"the emulated machine was not up after {BOOT_S:g} s; its console ends with\n{tail}",
                    device=self._device,
                )
            time.sleep(POLL_S)


def boot(emulator: SystemEmulator, cpu: str, device: str) -> QemuMachine:
    """A running machine; whoever asked ends it.

    Args:
        emulator: What is booted.
        cpu: Core to emulate, as qemu names it.
        device: URI for error messages.

    Raises:
        DeviceError: It does not boot; with the last lines of its console.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(_PortTakenError):
            return QemuMachine(emulator, cpu, device)
    return QemuMachine(emulator, cpu, device)


def qemu_command(emulator: SystemEmulator, cpu: str, port: int) -> tuple[str, ...]:
    """The words that start qemu.

    Args:
        emulator: What is booted.
        cpu: Core to emulate.
        port: Of the loopback, which leads to the machine's sshd; there is no other way in, and none out.
    """
    # The signing of pointers by the architecture's own cipher makes a boot take four times as long.
    model = f"{cpu},pauth-impdef=on" if cpu == "max" else cpu
    network = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"
    return (
        *(emulator.qemu, *MACHINE, "-cpu", model, "-smp", "1", "-m", str(MEMORY_MB)),
        *("-icount", "shift=0", "-seed", "1", "-no-reboot", "-nodefaults", "-nographic", "-serial", "stdio"),
        *("-kernel", str(emulator.kernel), "-initrd", str(emulator.initramfs), "-append", KERNEL_ARGUMENTS),
        *("-netdev", network, "-device", "virtio-net-device,netdev=net"),
    )


class _PortTakenError(DeviceError):
    """Another program has the port now."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
